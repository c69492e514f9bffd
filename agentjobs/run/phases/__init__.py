"""Phases: which is open, its `plan` command, and the rows that it printed."""
