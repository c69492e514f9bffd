"""The few ways in which this program touches files, runs short commands and reads the process table."""
