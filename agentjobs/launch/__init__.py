"""Steps: start one, say how it is, end it and all it left behind."""
