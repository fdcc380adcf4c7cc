"""A very long life in virtual time: memory, descriptors and threads must stay what they were."""
