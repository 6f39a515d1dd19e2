"""Frames become bytes and come back equal; the bytes never run."""

from __future__ import annotations

import math
import pickle
from datetime import date, time, timedelta, timezone
from decimal import Decimal
from http import HTTPStatus
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dateutil import tz
from hypothesis import example, given
from hypothesis import strategies as st
from tests.frames.makers import PROMISED, dtypes, some_posts, two_posts

from voxops.errors import PlanError
from voxops.frames.packing import pack, unpack
from voxops.frames.records import build

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
_cell = st.one_of(
    _json, st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.decimals(allow_nan=False), st.uuids(), st.binary(max_size=6),
    st.tuples(st.text(), st.integers()), st.frozensets(st.text(), max_size=3), st.dictionaries(st.integers(), _json, max_size=2),
    st.dictionaries(st.just("$time"), _json, max_size=1), st.text(st.characters(categories=["Cs"]), max_size=2),
)  # fmt: skip


def same(frame: pd.DataFrame) -> None:
    again = unpack(pack(frame))
    pd.testing.assert_frame_equal(again, frame, check_freq=False, check_column_type=True)
    assert dtypes(again) == dtypes(frame)
    assert again.attrs == frame.attrs


@given(st.lists(_cell, max_size=6))
@example([float("inf"), -0.0, 2**64, -(2**63) - 1, True, pd.NaT, pd.NA])
def test_objects_come_back_with_value_and_type(cells):
    frame = pd.DataFrame({"cell": pd.Series(np.fromiter(cells, object, len(cells)), dtype=object)})
    again = unpack(pack(frame))["cell"].tolist()
    assert repr(again) == repr(cells) or all(
        type(found) is type(cell) and (found is cell or found == cell) for found, cell in zip(again, cells, strict=True)
    )


@pytest.mark.parametrize("kind", PROMISED)
def test_frames_of_every_kind_come_back_equal(kind):
    record = {"id": "x", "createdAt": "2026-03-02T09:00:00.5Z", "platforms": ["a", {"platform": "b"}]}
    same(build(kind, [record, record, {}], source="s", filters={"status": ["failed"]}))
    same(build(kind, []))


def test_frames_with_columns_of_users_come_back_equal():
    frame = some_posts(3).assign(
        ordered=pd.Categorical(["b", "a", None], ["b", "a"], ordered=True),
        spans=pd.Categorical(pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-01"])),
        real=[1.5, np.nan, -np.inf],
        small=np.array([0.1, 0.2, 0.3], "float32"),
        nullable=pd.array([1.5, None, 0.1 + 0.2], dtype="Float64"),
        whole=[1, 2, 2**62],
        unsigned=np.array([0, 1, 2**64 - 1], "uint64"),
        flag=[True, False, True],
        maybe=pd.array([True, None, False], dtype="boolean"),
        naive=pd.to_datetime(["2026-01-01", None, "2026-01-02T03:04:05.678901"], format="ISO8601"),
        nano=pd.to_datetime([1, 2, 3], unit="ns"),
        local=pd.to_datetime(["2026-10-25T00:30Z", "2026-10-25T01:30Z", None]).tz_convert("Europe/Berlin"),
        offset=pd.to_datetime(["2026-01-01T00:00+05:30"] * 3),
        span=pd.to_timedelta([1, None, 3], unit="s"),
        text=["a", None, "ü😀"],
        nested=[{"a": [1, {"b": None}]}, [], None],
    )
    frame.attrs["more"] = {"deep": [1, "x", None]}
    same(frame)
    same(frame.set_index("whole"))
    same(frame.set_index("local"))
    same(frame.set_index(pd.Index(["x", "y", "z"], name="label")).iloc[:0])
    same(frame.iloc[1:2])
    same(frame[["text", "text"]])
    same(pd.DataFrame({0: [1], 1: ["x"]}))
    same(pd.DataFrame())
    same(pd.DataFrame(index=[3, 5]))


def test_several_levels_of_labels_come_back_equal():
    frame = some_posts(3).assign(day=pd.to_datetime(["2026-01-01", None, "2026-01-02"]), number=[1, 2, 3])
    same(frame.set_index(["day", "number"], drop=False))
    same(frame.set_index(["number", "status"]).iloc[:0])
    frame.columns = pd.MultiIndex.from_product([["a"], frame.columns], names=["left", None])
    same(frame)


def test_columns_of_pyarrow_come_back_as_pandas_own():
    stamps = [pd.Timestamp("2026-01-01T10:00", tz="Europe/Berlin"), None]
    own = {
        "whole": pd.array([2**60 + 1, None], "Int64"), "real": pd.array([0.1, None], "Float64"),
        "flag": pd.array([True, None], "boolean"), "text": pd.array(["ü😀", None], pd.StringDtype(na_value=pd.NA)),
        "when": pd.array(stamps, "datetime64[us, Europe/Berlin]"), "day": np.array([date(2026, 1, 1), None], object),
        "at": np.array([time(10, 30), None], object), "cost": np.array([Decimal("1.50"), None], object),
        "many": pd.Series([["a", "b"], None], dtype=object), "pairs": pd.Series([["a", "b"], ["c", "d"]], dtype=object),
    }  # fmt: skip
    types = [
        "int64[pyarrow]", "double[pyarrow]", "bool[pyarrow]", pd.ArrowDtype(pa.string()), "timestamp[us, tz=Europe/Berlin][pyarrow]",
        "date32[pyarrow]", "time64[us][pyarrow]", pd.ArrowDtype(pa.decimal128(5, 2)), pd.ArrowDtype(pa.list_(pa.string())),
        pd.ArrowDtype(pa.list_(pa.string())),
    ]  # fmt: skip
    foreign = pd.DataFrame(
        {name: pd.array(list(values), dtype=kind) for (name, values), kind in zip(own.items(), types, strict=True)}
    )
    again = unpack(pack(foreign))
    pd.testing.assert_frame_equal(again, pd.DataFrame(own), check_column_type=False)


@pytest.mark.parametrize(("frame", "words"), [
    (pd.DataFrame({"x": pd.period_range("2026", periods=2, freq="D")}), "Column 'x': A column of dtype period"),
    (pd.DataFrame({"x": [object()]}), "Column 'x': A value of type object"),
    (pd.DataFrame({"x": [[[]]]}).assign(x=[__import__("functools").reduce(lambda a, _: [a], range(4000), [])]), "can't be stored"),
])  # fmt: skip
def test_what_has_no_json_form_is_refused_in_words(frame, words):
    with pytest.raises(PlanError, match=words):
        pack(frame)


def test_targets_are_written_by_the_names_of_their_fields():
    packed = msgspec.json.decode(pack(two_posts()[["targets"]]))
    first, childless = packed["arrays"][0]["values"]
    assert first["$targets"][1] == {
        "target_id": "t2", "platform": "bluesky", "account_id": "a2", "status": "publishing",
    }  # fmt: skip
    assert childless["$targets"] == []


OTHER = pack(two_posts()).decode().replace('"version":1', '"version":2').encode()


@pytest.mark.parametrize("data", [
    b"", b"junk", b"[]", b"{}", b"null", b'{"version":99}', b'{"version": 1, "index": {"name": null}}', pickle.dumps({"version": 1}),
    pack(two_posts()).replace(b'"platform":"bluesky"', b'"platform":"bluesky","boosted":true'), OTHER,
], ids=range(10))  # fmt: skip
def test_bytes_of_another_kind_or_version_are_refused_and_never_run(data):
    with pytest.raises(PlanError, match="another version" if data == OTHER else None):
        unpack(data)


ZONES = {
    "UTC-08:00": timezone(-timedelta(hours=8), "PST"), "UTC-03:30": timezone(-timedelta(hours=3, minutes=30)),
    "UTC+02:00": tz.tzoffset("CEST", 7200), "UTC": timezone(timedelta(seconds=90)),
    "Asia/Kolkata": ZoneInfo("Asia/Kolkata"),
}  # fmt: skip


@pytest.mark.parametrize("name", ZONES)
def test_times_keep_their_instants_whatever_their_zone_is_called(name):
    stamp = pd.Timestamp("2026-07-01T10:00", tz=ZONES[name])
    frame = pd.DataFrame({"time": pd.Series([stamp, None]), "value": pd.Series([stamp, "x"], dtype=object)})
    again = unpack(pack(frame))
    assert list(again["time"]) == [stamp, pd.NaT]
    assert again["value"][0] == stamp
    assert str(again["time"].dt.tz) == str(again["value"][0].tz) == name


def test_a_zone_that_this_machine_does_not_know_is_read_as_utc():
    stamp = pd.Timestamp("2026-07-01T10:00", tz="Europe/Berlin")
    frame = pd.DataFrame({"time": [stamp], "value": pd.Series([stamp], dtype=object)})
    again = unpack(pack(frame).replace(b"Europe/Berlin", b"PST"))
    assert again["time"].dtype == "datetime64[us, UTC]"
    assert again["time"][0] == again["value"][0] == stamp


class Word(str):
    __slots__ = ()


class Share(float):
    pass


def test_what_only_derives_from_text_or_number_is_kept_as_that():
    values = [HTTPStatus.OK, Word("a"), Share(0.5), Share("inf"), None]
    frame = pd.DataFrame({"seen": pd.Series(values, dtype=object)})
    frame.attrs["status"] = {HTTPStatus.OK: Word("b")}
    again = unpack(pack(frame))
    assert [(type(value), value) for value in again["seen"]] == [
        (int, 200), (str, "a"), (float, 0.5), (float, math.inf), (type(None), None)
    ]  # fmt: skip
    assert again.attrs == {"status": {200: "b"}}


def test_numpy_times_in_objects_come_back_as_times():
    stamps = np.array(["2026-01-01T00:00:00.000000001"], "M8[ns]")
    values = [
        np.datetime64("2026-01-01", "ns"), np.timedelta64(5, "ns"), stamps, np.datetime64("NaT", "ns"), np.array(3),
        np.array([[1], [2]]),
    ]  # fmt: skip
    again = unpack(pack(pd.DataFrame({"x": pd.Series(values, dtype=object)})))["x"].tolist()
    assert again[:3] == [pd.Timestamp("2026-01-01"), pd.Timedelta(5), [pd.Timestamp(stamps[0])]]
    assert again[3] is pd.NaT
    assert again[4:] == [3, [[1], [2]]]


@pytest.mark.parametrize(
    "kind", ["bool", "int8", "double", "string", "timestamp[us]", "timestamp[ns, tz=UTC]", "duration[s]", "date32[day]"]
)
def test_an_empty_column_of_pyarrow_has_the_kind_of_a_full_one(kind):
    empty = pd.DataFrame({"x": pd.array([None], dtype=f"{kind}[pyarrow]")})
    own = {
        "bool": "boolean", "int8": "Int64", "double": "Float64", "string": "string", "timestamp[us]": "datetime64[us]",
    }  # fmt: skip
    own |= {"timestamp[ns, tz=UTC]": "datetime64[ns, UTC]", "duration[s]": "timedelta64[s]", "date32[day]": "object"}
    for frame in (empty, empty.iloc[:0]):
        assert unpack(pack(frame))["x"].dtype == own[kind]


def test_sparse_columns_come_back_dense_and_what_json_can_not_say_is_refused():
    sparse = pd.DataFrame({"x": pd.arrays.SparseArray([0.0, 1.5, 0.0])})
    assert unpack(pack(sparse)).equals(pd.DataFrame({"x": [0.0, 1.5, 0.0]}))
    for values in (np.array([1], np.longdouble), pd.Series([np.longdouble(1)], dtype=object)):
        with pytest.raises(PlanError, match=r"^Column 'x': A .* can't be stored"):
            pack(pd.DataFrame({"x": values}))
