"""Commands of the line, imported when they are called."""
