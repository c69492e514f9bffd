"""What would go wrong, found before it costs money, and whether to run in parallel at all."""
