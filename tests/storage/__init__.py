"""A store that is damaged, full, read-only, failing or in use, under the real process."""
