"""The command ``alicia``: thin click commands, each a call into the host or the store."""
