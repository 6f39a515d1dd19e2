"""What a server says is text in a terminal, whatever it holds (point 6 of the review of leaks)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops import cli
from voxops._support import safe
from voxops.cli import commands
from voxops.errors import VoxopsError

EVIL = "\x1b[2J\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x07\x9b31m\u202etxt.exe\u2066\x00\rover"


def harmless(text: str) -> bool:
    return not any(ord(char) < 32 and char != "\n" for char in text) and not set(text) & set(
        "\x7f\x9b\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f\u061c"
    )


@given(st.text(st.characters(exclude_categories=())))
def test_printable_text_is_harmless_and_keeps_its_lines(text: str) -> None:
    shown = safe.printable(text)
    assert harmless(shown)
    shown.encode()


def test_lines_and_blanks_stay() -> None:
    assert safe.printable("  a   b\n    c\r\nd") == "  a   b\n    c\nd"
    assert safe.printable("\x1b[1mbold\x1b[0m") == "bold"


def test_an_error_of_the_server_reaches_the_terminal_as_text(monkeypatch, capsys) -> None:
    def refuse(_: object) -> int:
        raise VoxopsError(f"the API says: {EVIL}")

    monkeypatch.setattr(commands, "run_triage", refuse)
    assert cli.main(["triage", "--sandbox"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("voxops: the API says: ")
    assert harmless(said)


@pytest.mark.parametrize("what", ["say", "print_frame"])
def test_what_commands_print_is_text(what: str, capsys) -> None:
    import pandas as pd

    getattr(commands, what)(pd.DataFrame({EVIL: [EVIL]}) if what == "print_frame" else EVIL)
    assert harmless(capsys.readouterr().out)
