"""Randomness by hashing: a draw depends on the seed and on what is drawn for, never on order or timing."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

__all__ = ["fraction", "identifier", "pick", "uniform"]

T = TypeVar("T")


def _digest(parts: tuple[object, ...], size: int) -> bytes:
    """`size` bytes that depend on every part and on their order."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=size).digest()


def fraction(*parts: object) -> float:
    """Return a number in [0, 1), the same for the same parts."""
    return int.from_bytes(_digest(parts, 6), "big") / (1 << 48)


def uniform(low: float, high: float, *parts: object) -> float:
    """Return a number in [low, high), the same for the same parts."""
    return low + (high - low) * fraction(*parts)


def pick(choices: Sequence[T], *parts: object) -> T:
    """One of the choices, the same for the same parts."""
    return choices[int(fraction(*parts) * len(choices))]


def identifier(prefix: str, *parts: object) -> str:
    """Return an opaque id of 24 letters and digits behind its prefix, the same for the same parts (contract: SCH)."""
    return prefix + b32encode(_digest(parts, 15)).decode().lower()
