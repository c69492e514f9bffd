"""tasks.tsv: parse, merge cell by cell, write safely; order and overlaps of its rows."""
