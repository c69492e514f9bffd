"""A step as a process: start it, look at it, signal it, kill it, and kill what it left behind."""
