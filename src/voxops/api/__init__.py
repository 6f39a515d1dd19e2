"""What the API promises and what is assumed of it, each once: the matrix, the assumptions, how an error reads."""
