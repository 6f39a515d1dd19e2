"""voxops."""
