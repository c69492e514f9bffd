"""Agent CLIs: which are installed, how a run ended, what it used, its transcripts and its limits."""
