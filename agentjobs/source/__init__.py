"""What source files import, export and mention: JavaScript, TypeScript and Python."""
