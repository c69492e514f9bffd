"""Whether a TypeScript file, its types erased, is the JavaScript file it was made from (docs/proof.md)."""
