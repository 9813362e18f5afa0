"""Arrays in, arrays out: one operation a file. Knows nothing of differentiation."""
