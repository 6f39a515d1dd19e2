"""The body of an answer, read and decompressed within bounds."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable
from typing import Any

from voxops._support.safe import many

__all__ = ["ENCODINGS", "read_body"]

ENCODINGS = "gzip"  # what is asked for; the library's own decoders have no bound
_KEPT = 64 * 1024  # bytes of a body that is too large, for the error


async def read_body(chunks: AsyncIterable[bytes], encoding: str, most: int) -> tuple[bytes, str]:
    """Read a body to its end, or to its bound.

    Parameters
    ----------
    chunks : async iterable of bytes
        As they come, compressed.
    encoding : str
        The header ``Content-Encoding``.
    most : int
        Bytes of the decompressed body.

    Returns
    -------
    tuple of bytes and str
        The body, and why it is not whole: ``""`` if it is, else a clause for a sentence; the body is its beginning then.

    Raises
    ------
    zlib.error, EOFError
        If the compressed body is damaged, or ends early.
    """
    coding = encoding.strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        return b"", "in an encoding that was not asked for"
    unpack = None if coding in ("", "identity") else _Gunzip()
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        # One byte beyond the bound, so that a body of exactly that size is taken.
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
    return b"".join(pieces), ""


class _Gunzip:
    """Unpacks gzip piece by piece: one member after the other, and the zeros that may follow them (RFC 1952)."""

    def __init__(self) -> None:
        self._member: Any = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def ended(self) -> bool:
        """Whether the last member is whole."""
        return self._member is None

    def __call__(self, packed: bytes, most: int) -> bytes:
        """The next bytes, up to so many; of more the rest is lost."""
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
