"""The running process around the kernel: finds and loads plugins, opens and supervises what they
contribute, starts and stops everything in order."""
