"""What the API promises and what is assumed of it, each once: matrix, limits, assumptions, how an error reads."""
