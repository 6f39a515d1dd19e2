"""What each of the 39 rows of the matrix implies, tried over a socket and counted at the sandbox: ``make matrix``."""
