"""The power is cut: what a disk could hold at an instant, rebuilt from what the process wrote."""
