"""Many small, verified coding-agent tasks, driven from a plain TSV file."""

__version__ = "0.1.0"
