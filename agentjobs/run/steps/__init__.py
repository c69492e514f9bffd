"""One step of an attempt: its sandbox, its start, what it used and how it ended."""
