"""Exactly once: one question for a request, one for a call, one loop."""
