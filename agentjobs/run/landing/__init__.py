"""The merge queue: verified tasks merged, checked as one batch, landed or sent back."""
