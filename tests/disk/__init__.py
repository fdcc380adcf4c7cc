"""A library between a process and its disk: it records what is written, and lets writes fail."""
