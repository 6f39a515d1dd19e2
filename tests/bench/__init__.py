"""What a user waits for, measured beside its peers and its floor in the same run; see `__main__`."""
