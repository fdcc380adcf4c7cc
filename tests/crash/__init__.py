"""Kill -9 in a loop, under load, against the real process; the truth is taken from outside only."""
