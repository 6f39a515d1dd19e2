"""Helpers that know nothing of the API: event loop, JSON, safe text, arguments."""
