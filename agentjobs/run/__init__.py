"""The turns of the engine and their effects."""
