"""The few ways in which agentjobs touches files, runs short commands and reads the process table."""
