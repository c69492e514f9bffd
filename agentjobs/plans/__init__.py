"""Rows made from lines, files, documents and outputs."""
