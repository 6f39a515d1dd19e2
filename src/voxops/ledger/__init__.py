"""What was asked of the API and what became of it, in SQLite; all SQL of the package."""
