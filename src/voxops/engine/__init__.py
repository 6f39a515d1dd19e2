"""Exactly once: preflight, binding, sending, reading, settling."""
