"""Review steps: the prompt of a reviewer, its start, its verdict."""
