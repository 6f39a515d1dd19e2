"""Untrusted text, made safe for terminals; for HTML: `tests/views`, for spreadsheets: `tests/security`."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops._support import safe

ANY = st.text(st.characters(exclude_categories=()))


def test_one_thing_is_one_and_no_more():
    assert [safe.many(count, "row") for count in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [safe.many(count, "delivery", "deliveries") for count in (1, 2)] == ["1 delivery", "2 deliveries"]


@given(ANY, st.integers(3, 40))
def test_a_middle_cut_out_leaves_both_ends(text, limit):
    shown, whole = safe.middle(text, limit), safe.plain(text)
    assert len(shown) <= limit
    assert shown == whole or (whole.startswith(shown.partition("…")[0]) and whole.endswith(shown[-(limit // 2) :]))


@given(ANY, st.integers(1, 300))
def test_plain_text_is_one_short_line_that_any_file_can_hold(text, limit):
    line = safe.plain(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert all(char.isprintable() or char in "\u200d\u200b\u2060\ufeff\xad" or ord(char) > 0xA0 for char in line)
    line.encode()


@pytest.mark.parametrize(("text", "line"), [
    ("\x1b[1;31mred\x1b[0m", "red"), ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"), ("\u202egpj.exe", "\ufffdgpj.exe"),
    ("one\ntwo\t three", "one two three"), ("👩\u200d💻 é", "👩\u200d💻 é"), (["a", 1], "['a', 1]"), (0, "0"),
    *((missing, "") for missing in (None, pd.NA, pd.NaT, float("nan"))),
])  # fmt: skip
def test_plain_examples(text, line):
    assert safe.plain(text) == line


def test_durations_are_as_a_person_says_them():
    seconds = (-1, 0, 89, 90, 3600, 5400, 7200, 200_000)
    assert [safe.duration(each) for each in seconds] == [
        "0 s", "0 s", "89 s", "2 min", "60 min", "1.5 h", "2 h", "2 days",
    ]  # fmt: skip
