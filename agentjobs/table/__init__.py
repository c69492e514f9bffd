"""tasks.tsv: parsed, merged cell by cell, written safely; the order and the overlaps of its rows."""
