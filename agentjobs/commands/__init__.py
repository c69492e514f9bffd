"""One module a command: options in, one call of the library, an exit code out."""
