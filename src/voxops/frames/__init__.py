"""Records to typed frames, and frames to bytes."""
