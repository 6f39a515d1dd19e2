"""One webhook event: whether it is genuine, and what it says; recorded ones as a frame."""
