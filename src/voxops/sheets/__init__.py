"""Campaign sheets: files as people keep them, their heads, times and rules."""
