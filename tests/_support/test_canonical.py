"""The one JSON text, and what makes two row keys the same."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops._support.canonical import canonical, decode, fingerprint, row_key
from voxops.errors import PlanError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_canonical_json_reads_back_and_does_not_depend_on_order(value):
    text = canonical(value)
    assert decode(text) == json.loads(text) == value
    if isinstance(value, dict):
        assert canonical(dict(reversed(value.items()))) == text


@pytest.mark.parametrize(("data", "value"), [
    (b"[Infinity, -Infinity]", [math.inf, -math.inf]), (rb'{"content": "\ud83d cut"}', {"content": "\ud83d cut"}),
    (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    *((b'[%d,{"id": %d }]' % (long, long), [long, {"id": long}]) for long in (2**53 + 1, 2**63 + 1, 2**64 + 1, -(2**63) - 1, 10**40 + 1)),
])  # fmt: skip
def test_invalid_but_common_json_and_long_numbers_are_read(data, value):
    assert decode(data) == value
    assert math.isnan(decode(b'{"rate": NaN}')["rate"])


def test_half_an_emoji_is_still_a_text_and_nan_is_none():
    assert canonical({"a": "\ud83d"}) == b'{"a":"\\ud83d"}'
    assert canonical({"a": "é"}) == '{"a":"é"}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical({"a": float("nan")})


def test_parts_of_a_fingerprint_can_t_run_into_each_other():
    assert fingerprint("a", "b") != fingerprint("ab") != fingerprint("a", "", "b")
    assert fingerprint("1") != fingerprint(1)


INSTANT, LOCAL = "2027-03-01T09:00:00+00:00", "2027-03-01 09:00:00"
NAMES = {
    "1": [1, "1", 1.0, " 1 ", np.int64(1), np.float64(1.0), Decimal("1.00"), pd.Series([1], dtype="Int64")[0], "1.0"],
    None: [None, float("nan"), pd.NA, pd.NaT, "", "  "],
    # Rule 5: an instant is one row in whatever zone and spelling, and so is a time without a zone.
    INSTANT: [
        "2027-03-01T09:00:00Z", "2027-03-01 09:00:00+00:00", "2027-03-01 10:00:00+01:00", "2027-03-01T09:00Z ", "2027-03-01T14:30:00.000000+0530",
        pd.Timestamp("2027-03-01T10:00", tz="Europe/Berlin"), datetime(2027, 3, 1, 9, tzinfo=UTC),
    ],
    LOCAL: [
        "2027-03-01 09:00", "2027-03-01T09:00:00", "2027-03-01T09:00:00.000", "2027-03-01 09:00:00.000000000", datetime(2027, 3, 1, 9),
        pd.Timestamp("2027-03-01T09:00"),
    ],
    "2026-03-04": ["2026-03-04 00:00:00", pd.Timestamp("2026-03-04")],
    "-0": ["-0.0"], "-3": [-3.0], "1000000000000000": [10**15, 1e15], "0.1": [0.1], "True": [True], "Caf\u00e9": ["Cafe\u0301"], "SP-1": ["\ufeffSP-1\u200b "], "1/2": [Fraction(1, 2)],
    # What is neither number nor instant stays the text that it is.
    **{text: [text] for text in (
        "1.50", "007.0", "007", "sp-1", "2027-03-01T9:00", "2027-03-01 09:00:00.", "2027-02-30T09:00:00Z", "0001-01-01T00:00:00+14:00",
        "at 2027-03-01T09:00:00Z", "2027-03-01Z",
    )},
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "name"), [(value, name) for name, values in NAMES.items() for value in values], ids=str
)
def test_rule_05_one_row_has_one_name_in_whatever_spelling(value, name):
    assert row_key(value) == name


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.sampled_from(["csv", "json", "parquet"]))
def test_rule_05_a_column_of_times_without_a_zone_names_its_rows_through_a_file(when, kind):
    frame = pd.DataFrame(
        {"slot": pd.Series([pd.Timestamp(when), pd.Timestamp("2027-03-02 10:30:00.25")]).dt.as_unit("us")}
    )
    assert not isinstance(frame["slot"].dtype, pd.DatetimeTZDtype)
    file = BytesIO()
    write, read = {
        "csv": (lambda: frame.to_csv(file, index=False), pd.read_csv),
        "json": (lambda: frame.to_json(file, date_format="iso", date_unit="us"), lambda file: pd.read_json(file, dtype=False)),
        "parquet": (lambda: frame.to_parquet(file), pd.read_parquet),
    }[kind]  # fmt: skip
    write()
    file.seek(0)
    back = read(file)
    assert [row_key(value) for value in back["slot"]] == [row_key(value) for value in frame["slot"]]


@pytest.mark.parametrize("value", [17841405793187218, 2**53, -(2**60), 1.7841405793187218e16], ids=str)
def test_rule_05_a_number_that_may_have_lost_digits_in_a_file_names_no_row(value):
    with pytest.raises(PlanError, match="may have lost digits in a file; read the column as text"):
        row_key(value)
    assert row_key(str(int(value))) == str(int(value))
    assert row_key(2**53 - 1) == str(2**53 - 1)
