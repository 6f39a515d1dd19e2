"""Frame to plan: what would be sent, under which keys, and why the rest would not."""
