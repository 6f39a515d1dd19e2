"""The body of an answer, read and decompressed up to a maximum size."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable
from typing import Any

from voxops._support.safe import many
from voxops.api.limits import ANSWER_VALUES

ENCODINGS = "gzip"  # the only encoding requested; the library's own decoders have no size limit
_KEPT = 64 * 1024  # bytes of a body that is too large, for the error


async def read_body(chunks: AsyncIterable[bytes], encoding: str, most: int) -> tuple[bytes, str]:
    """Return a body of at most `most` bytes, decompressed, and ``""``; or the beginning of a larger one, and the reason as a clause.

    A compressed body that is damaged or ends early raises zlib.error or EOFError.
    """
    coding = encoding.strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        return b"", "in an encoding that was not requested"
    unpack = None if coding in ("", "identity") else _Gunzip()
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        # One byte beyond the limit, so that a body of exactly that size is accepted.
        piece = chunk if unpack is None else unpack(chunk, most - size + 1)
        pieces.append(piece)
        size += len(piece)
        if size > most:
            head = b""
            for piece in pieces:
                head += piece[: _KEPT - len(head)]
            return head, f"with more than {many(most, 'byte')}"
    if unpack is not None and pieces and not unpack.ended:
        raise EOFError
    whole = b"".join(pieces)
    # Counting takes a while, and each value has at least a byte.
    if len(whole) > ANSWER_VALUES and whole.count(b",") + whole.count(b"{") + whole.count(b"[") > ANSWER_VALUES:
        return whole[:_KEPT], f"with more than {many(ANSWER_VALUES, 'value')}"
    return whole, ""


class _Gunzip:
    """Decompresses gzip piece by piece: its members in order, and the zeros that may follow them (RFC 1952)."""

    def __init__(self) -> None:
        self._member: Any = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def ended(self) -> bool:
        """Whether the last member is complete."""
        return self._member is None

    def __call__(self, packed: bytes, most: int) -> bytes:
        """Return the next decompressed bytes, at most `most`; the rest is discarded."""
        found: list[bytes] = []
        while packed and most > 0:
            if self._member is None:
                packed = packed.lstrip(b"\0")
                if not packed:
                    break
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            piece = self._member.decompress(packed, most)
            found.append(piece)
            most -= len(piece)
            packed = b""
            if self._member.eof:
                packed, self._member = self._member.unused_data, None
        return b"".join(found)
