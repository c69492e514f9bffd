"""What a repository holds: its sources, and which of them imports which."""
