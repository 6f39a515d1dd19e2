"""Campaign sheets: their files, column headers, times and rules."""
