"""Check that a TypeScript file is the same program as its JavaScript original, and count what hides problems."""
