"""Options to one call, exit codes, the error boundary: one module per command."""
