"""Whether a TypeScript file is the same program as its JavaScript original, and what hides problems."""
