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
from voxops.frames.records import build
from voxops.frames.stored import restore, store


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
    frame = pd.DataFrame({
        "kind": pd.Categorical(["b", "a", None]), "real": [1.5, np.nan, 2.0], "whole": np.array([1, 2, 2**62]), "flag": [True, False, True],
        "maybe": pd.array([True, None, False], "boolean"), "small": np.array([1, 2, 3], "int8"),
        "local": pd.to_datetime(["2026-10-25T00:30Z", "2026-10-25T01:30Z", None]).tz_convert("Europe/Berlin"),
        "text": pd.Series(["a", None, "ü😀\ud83d"], [7, 8, 9], object), "nested": [{"a": [1, {"b": None}]}, [], None],
        "other": pd.Series([date(2026, 1, 1), Decimal("1.50"), None], [7, 8, 9], object),
    }, index=[7, 8, 9])  # fmt: skip
    again = restore(store(frame))
    assert dtypes(again) == {
        "kind": "str", "real": "float64", "whole": "Int64", "flag": "bool", "maybe": "boolean", "small": "Int64",
        "local": "datetime64[us, UTC]", "text": "object", "nested": "object", "other": "object",
    }  # fmt: skip
    assert again["local"].to_list() == frame["local"].to_list()
    assert again["whole"].to_list() == frame["whole"].to_list()
    assert again["text"].fillna("").to_list() == ["a", "", "ü😀\ud83d"]
    assert again["nested"].to_list() == [{"a": [1, {"b": None}]}, (), None]
    assert again["other"].to_list()[:2] == ["2026-01-01", "1.50"]


@pytest.mark.parametrize("data", [
    b"", b"junk", b"[]", b"{}", b"null", pickle.dumps({"columns": 1}), b'{"columns":[["a","Int64",[1]]],"attrs":{}}',
    b'{"rows":1,"columns":[["a","Int64",[1]],["b","Int64",[1,2]]],"attrs":{}}', b'{"rows":1,"columns":[["a","Int64",["x"]]],"attrs":{}}',
    b'{"rows":1,"columns":[["a","targets",[5]]],"attrs":{}}', b'{"rows":300000000,"columns":[["a","bool",[true]]],"attrs":{}}',
], ids=range(11))  # fmt: skip
def test_bytes_of_another_kind_are_refused_and_never_run(data):
    with pytest.raises(LedgerError, match="not the frame of a plan"):
        restore(data)
