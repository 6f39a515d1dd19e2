"""Find what must not be shared in a notebook someone is about to share: API keys and signing secrets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._core.arguments import file_path
from voxops._core.files import unreadable
from voxops.errors import ConfigError
from voxops.frames.values import STRING_DTYPE

__all__ = ["scan_notebook"]


# A value within quotes, unless it is the name of a variable, and one without.
_TEXT = r"""(?!(?-i:[A-Z]++_[A-Z_]++)\\?["'])(?P<secret>[A-Za-z0-9+/=_\-]{12,}+)(?=\\?["'])"""
_QUOTE = r"""[bfru]{0,2}\\?["']{1,3}+"""
_WORD = r"(?P<secret>[A-Za-z0-9+/=_\-]{12,}+)(?=[\s;&]|$)"


def _named(kind: str, words: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return what finds a value assigned to a name with one of these words, in Python, in JSON or in a shell.

    Nothing is read twice from several places (hence the possessive ``++``), so that time grows with the length of a line alone.
    """
    name = rf"\b(?=\w*?(?:{words}))\w++(?<!_(?:file|path|name))"
    hint = r":\s*+[\w.]++(?:\[[^\]=]{0,40}\])?(?:\s?\|\s?\w{1,20}){0,3}\s?="
    patterns = (
        # secret = "…", secret: str = "…", "secret": "…", environ["SECRET"] = "…"
        rf"""{name}\\?["']?+\s*+\]?+\s*+(?:{hint}|:=|[:=])\s*+[\[(]?+\s*+{_QUOTE}{_TEXT}""",
        # environ.setdefault("SECRET", "…")
        rf"""\b(?:setdefault|setenv|putenv|getenv|environ\.get)\(\s*+["']{name}["']\s*+,\s*+{_QUOTE}{_TEXT}""",
        # %env SECRET=…, %env SECRET …
        rf"^\s*+%(?:set_)?env\s++{name}(?:\s*+=\s*+|\s++){_WORD}",
        # !SECRET=… command, !export SECRET=…, and what %env answers
        rf"(?:^\s*+(?:!\s*+|env:\s*+)|\bexport\s++){name}={_WORD}",
        # SECRET=… alone on a line, as in a .env file; with a digit, since it may be Python
        rf"^\s*+(?=(?-i:[A-Z0-9_]++)=[^\s\d]*+\d){name}={_WORD}\s*+$",
    )
    return tuple((kind, re.compile(pattern, re.IGNORECASE)) for pattern in patterns)


_SECRET, _KEY = "secret|signing_key", "api_?key"
_NAMES = re.compile(f"{_SECRET}|{_KEY}", re.IGNORECASE)
# Of a word; before it may stand an escape: in the repr of a text, in an address, or of a colour.
_HEX = "[0-9A-Fa-f]"
_BEGIN = (
    rf"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%{_HEX}{_HEX})|(?<=\\x{_HEX}{_HEX})|(?<=\\u{_HEX * 4})"
    r"|(?<=\[[0-9]m)|(?<=\[[0-9][0-9]m)|(?<=\[[0-9];[0-9][0-9]m))"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of a traceback, within a key as well
_RULES = (
    ("API key", re.compile(_BEGIN + r"(?P<shown>(?:vb|sk)_(?:live|test)_)(?P<secret>[A-Za-z0-9_\-]{6,})")),
    ("signing secret", re.compile(_BEGIN + r"(?P<shown>whsec_)(?P<secret>[A-Za-z0-9+/=_\-]{6,})")),
    ("bearer token", re.compile(r"\bBearer\s+(?P<secret>[A-Za-z0-9._\-]{12,})")),
    # What is passed to us by its place alone, and the header of other clients.
    ("API key", re.compile(rf"\b(?:(?:vx|voxops)\.connect|AsyncClient)\(\s*+{_QUOTE}{_TEXT}")),
    ("signing secret", re.compile(rf"\bverify_signature\((?:[^,\"']++,){{2}}\s*+{_QUOTE}{_TEXT}")),
    (
        "API key",
        re.compile(
            rf"\bx-api-key\\?[\"']?+\s*+[:=]\s*+(?:{_QUOTE})?+(?P<secret>[A-Za-z0-9+/=_\-]{{12,}}+)", re.IGNORECASE
        ),
    ),
    *_named("signing secret", _SECRET),
    *_named("API key", _KEY),
)
# The embedded sandbox's own keys open nothing but the sandbox.
_HARMLESS = frozenset({"vb_test_sandbox", "vb_test_second", "vb_test_readonly", "vb_test_quota"})


def scan_notebook(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Look through a notebook for API keys and webhook signing secrets: code, text, outputs, metadata and attachments.

    Parameters
    ----------
    path : path
        An ``.ipynb`` file; any other text file is looked through line by line.

    Returns
    -------
    pandas.DataFrame
        One row per find, in the order of the file; empty when there is nothing: ``cell`` (Int64, counted from 1, NA outside of
        cells), ``where`` (string: ``source``, ``output 1 text/html``, ``metadata`` and the like), ``line`` (Int64, within that
        place, from 1), ``kind`` (string: API key, signing secret, bearer token), ``shown`` (string: how it begins; never the
        secret itself).

    Raises
    ------
    ConfigError
        If the file can't be read, or is not a notebook in spite of its name.

    Examples
    --------
    >>> path = folder / "analysis.ipynb"
    >>> _ = path.write_text('{"cells": [{"cell_type": "code", "source": "1 + 1", "outputs": []}]}')
    >>> len(vx.scan_notebook(path))
    0
    """
    finds = [
        (cell, where, line, kind, shown)
        for cell, where, text in _texts(file_path("path", path))
        for line, kind, shown in _look(text)
    ]
    columns = list(zip(*finds, strict=True)) or [()] * 5
    return pd.DataFrame(
        {
            "cell": pd.array(columns[0], dtype="Int64"),
            "where": pd.array(columns[1], dtype=STRING_DTYPE),
            "line": pd.array(columns[2], dtype="Int64"),
            "kind": pd.array(columns[3], dtype=STRING_DTYPE),
            "shown": pd.array(columns[4], dtype=STRING_DTYPE),
        }
    )


def _texts(path: Path) -> Iterator[tuple[int | None, str, str]]:
    """Yield every piece of text in a file: its cell, its place and the text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} can't be read: it is no text in UTF-8.") from error
    if path.suffix.lower() != ".ipynb":
        yield None, "text", text
        return
    try:
        book = json.loads(text)
        cells = list(book["cells"])
        pieces = [(number, *piece) for number, cell in enumerate(cells, 1) for piece in _of_cell(cell)]
        others = {name: value for name, value in book.items() if name not in {"cells", "metadata"}}
        of_book = [*_strings(book.get("metadata"), "metadata"), *_strings(others, "notebook")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path} is not a notebook: it has no JSON with cells") from error
    yield from pieces
    yield from ((None, place, piece) for place, piece in of_book)


def _of_cell(cell: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every piece of text in a cell with its place."""
    yield "source", _joined(cell.get("source", ""))
    for index, output in enumerate(cell.get("outputs") or (), 1):
        yield from _strings(output, f"output {index}")
    others = {name: value for name, value in cell.items() if name not in {"source", "outputs", "cell_type"}}
    for name, value in others.items():
        yield from _strings(value, name)


def _strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield every text inside a JSON value, with its place; lists of lines are one text."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield place, name
            # A secret may be known by its name only.
            shown = f'"{name}": "{inner}"' if isinstance(inner, str) and _NAMES.search(name) else inner
            yield from _strings(shown, place if name == "data" else f"{place} {name}")
    elif isinstance(value, list):
        if all(isinstance(line, str) for line in value):
            yield place, "".join(value) if any(line.endswith("\n") for line in value) else "\n".join(value)
        else:
            for inner in value:
                yield from _strings(inner, place)


def _joined(source: Any) -> str:
    """Return a cell's source, which may be a list of lines."""
    return source if isinstance(source, str) else "".join(map(str, source or ()))


def _look(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, kind and beginning of everything in a text that must not be shared; each find once."""
    for number, line in enumerate(_COLOUR.sub("", text).splitlines(), 1):
        seen: list[tuple[int, int]] = []
        for kind, pattern in _RULES:
            for found in pattern.finditer(line):
                start, end = found.span("secret")
                known = any(first < end and start < last for first, last in seen)
                prefix = found.groupdict().get("shown", "")
                if known or prefix + found["secret"] in _HARMLESS:
                    continue
                seen.append((start, end))
                yield number, kind, f"{prefix}…"
