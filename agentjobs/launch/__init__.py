"""A step as a process: start it, observe it, signal it, kill it, and kill what it left behind."""
