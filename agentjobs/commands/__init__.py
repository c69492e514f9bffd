"""The work of each command that is not a turn of the engine: dispatch, retry, skip, stop, clean, init, try."""
