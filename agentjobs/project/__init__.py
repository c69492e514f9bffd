"""One project: its directory, its `.agentjobs`, and the rows of its table matched with the facts on disk."""
