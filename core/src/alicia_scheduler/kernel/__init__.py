"""Time and execution: what is due, what becomes of it, and what is remembered."""
