"""Store, planner and kernel in virtual time, driven by random steps, with every slot accounted."""
