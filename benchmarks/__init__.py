"""How fast and how small, side by side with peers and limits in one run. See README.md."""
