"""Mutants that survive because they mean nothing: file and name -> why nobody could tell."""

from __future__ import annotations

REASONS: dict[tuple[str, str], str] = {}
