"""Pure functions on text and bytes that know nothing about tasks: TOML, TSV, JSON lines, schemas, masking."""
