"""What people see: first the values, then the text."""
