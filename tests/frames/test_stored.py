"""The frame of a plan becomes JSON and comes back with the dtypes of voxops; the bytes never run."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from tests.frames.makers import PROMISED, dtypes

from voxops.errors import LedgerError
from voxops.frames.checks import restore, store
from voxops.frames.records import build


@pytest.mark.parametrize("kind", PROMISED)
def test_frames_of_every_kind_come_back_equal(kind):
    record = {
        "id": "x", "createdAt": "2026-03-02T09:00:00.5Z", "platforms": ["a", {"platform": "b"}], "metadata": {"n": 1}, "tags": ["t"],
    }  # fmt: skip
    for frame in (build(kind, [record, record, {}], source="s", filters={"status": ["failed"]}), build(kind, [])):
        again = restore(store(frame))
        pd.testing.assert_frame_equal(again, frame)
        assert dtypes(again) == dtypes(frame)
        assert again.attrs == frame.attrs
        for name in {"targets", "metadata", "tags"}.intersection(frame.columns):
            assert list(map(type, again[name])) == list(map(type, frame[name]))


def test_columns_of_users_come_back_in_the_dtypes_of_voxops():
    columns = {
        "str": (pd.Categorical(["b", None]), ["b", None]), "float64": ([1.5, np.nan], [1.5, None]), "bool": ([True, False], [True, False]),
        "boolean": (pd.array([True, None], "boolean"), [True, None]), "Int64": (np.array([1, 2**62]), [1, 2**62]),
        "datetime64[us, UTC]": (pd.to_datetime(["2026-10-25T00:30Z", None]).tz_convert("Europe/Berlin"), [pd.Timestamp("2026-10-25T00:30Z"), None]),
        "object": ([{"a": [1, {"b": None}]}, Decimal("1.50")], [{"a": [1, {"b": None}]}, "1.50"]),
    }  # fmt: skip
    again = restore(store(pd.DataFrame({name: cells for name, (cells, _) in columns.items()}, index=[7, 8])))
    assert dtypes(again) == {name: name for name in columns}
    for name, (_, expected) in columns.items():
        assert again[name].astype(object).where(again[name].notna(), None).to_list() == expected, name
    odd = pd.DataFrame({"text": ["ü😀\ud83d", date(2026, 1, 1), []]}, dtype=object)
    assert restore(store(odd))["text"].to_list() == ["ü😀\ud83d", "2026-01-01", ()]


@pytest.mark.parametrize("data", [
    b"", b"junk", b"[]", b"{}", b"null", pickle.dumps({"columns": 1}), b'{"columns":[["a","Int64",[1]]],"attrs":{}}',
    b'{"rows":1,"columns":[["a","Int64",[1]],["b","Int64",[1,2]]],"attrs":{}}', b'{"rows":1,"columns":[["a","Int64",["x"]]],"attrs":{}}',
    b'{"rows":1,"columns":[["a","targets",[5]]],"attrs":{}}', b'{"rows":300000000,"columns":[["a","bool",[true]]],"attrs":{}}',
], ids=range(11))  # fmt: skip
def test_bytes_of_another_kind_are_refused_and_never_run(data):
    with pytest.raises(LedgerError, match="not the frame of a plan"):
        restore(data)
