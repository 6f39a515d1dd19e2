"""The four nouns in SQLite: requests, runs, calls with their tries, and what was seen; all SQL that reads or writes them."""
