"""Cells of sheets as values: times in UTC, and lists."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops.sheets.rules import split_list, utc_text


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.timezones()))
def test_times_are_written_in_utc(when):
    text = utc_text(when.isoformat())
    assert text is not None
    assert text.endswith("Z")
    assert datetime.fromisoformat(text).timestamp() == pytest.approx(when.timestamp(), abs=1e-6)
    assert utc_text(text) == text


@pytest.mark.parametrize(
    ("cell", "parts"),
    [(None, []), ("a; b ;;c", ["a", "b", "c"]), (["x", " y "], ["x", "y"]), (("z",), ["z"]), ("", [])],
)
def test_cells_with_several_values(cell, parts):
    assert split_list(cell) == parts
