"""Campaign sheets: their files, heads, times and rules."""
