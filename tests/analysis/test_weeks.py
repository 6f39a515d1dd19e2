"""This week against last, and one run against another: which causes and rows are new, gone, back or mended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
import pytest

import voxops as vx
from voxops.frames.records import build

NOW = pd.Timestamp("2026-03-22T12:00:00Z")


def failures(*rows: tuple[str, float], **attrs: Any) -> pd.DataFrame:
    """A triaged frame: a cause, and how many days ago."""
    frame = pd.DataFrame({
        "post_id": [f"post_{number}" for number in range(len(rows))],
        "cause": pd.array([cause for cause, _ in rows], dtype="string"), "verdict": "retry", "remedy": "retry it",
        "updated_at": pd.DatetimeIndex([NOW - pd.Timedelta(days=days) for _, days in rows]).as_unit("us"),
    })  # fmt: skip
    frame.attrs = {"fetched_at": NOW.isoformat(), **attrs}
    return frame


def test_each_cause_is_recognised_by_when_its_failures_happened():
    weeks = vx.causes(
        failures(
            ("new", 1), ("gone", 8), ("gone", 9), ("back", 2), ("back", 20), ("worse", 1), ("worse", 2), ("worse", 10), ("as ever", 3), ("as ever", 9),
            ("long ago", 30), ("edge", 7), ("edge", 14),
        ),
        against="7D",
    )  # fmt: skip
    assert weeks[["change", "cause", "rows", "last_week", "before"]].values.tolist() == [
        ["came back", "back", 1, 0, 1], ["new", "new", 1, 0, 0], ["worse", "worse", 2, 1, 0],
        ["recurring", "as ever", 1, 1, 0], ["gone", "gone", 0, 2, 0], ["gone", "edge", 0, 1, 1],
    ]  # fmt: skip
    assert weeks.attrs["weeks"] == [(NOW - pd.Timedelta(days=days)).isoformat() for days in (14, 7, 0)]
    assert weeks.dtypes.astype(str).to_dict() == {
        "change": "string", "cause": "string", "verdict": "str", "remedy": "str", "rows": "Int64", "last_week": "Int64", "before": "Int64",
        "posts": "Int64", "last_seen": "datetime64[us, UTC]",
    }  # fmt: skip


@pytest.mark.parametrize(("frame", "asked", "said"), [
    (failures(("x", 1), filters={"since": "7D"}), {}, "since='7D'.*since='21D'"),  # all would seem new
    (failures(("x", 1), ("x", 20), complete=False), {}, "was cut.*since='21D'"),
    (failures(("x", 1)), {"now": datetime(2026, 3, 22)}, "no time zone"),
    (failures(("x", 1)), {"against": "0D"}, "longer than zero"),
    (failures(("x", 1)), {"against": pd.Timedelta("-7D")}, "longer than zero"),
    (pd.DataFrame({"a": [1]}), {}, "needs a triaged frame"),
], ids=range(6))  # fmt: skip
def test_what_can_not_be_compared_is_refused(frame, asked, said):
    with pytest.raises(vx.VoxopsError, match=said):
        vx.causes(frame, **{"against": "7D", **asked})
    assert len(vx.causes(failures(("x", 1), filters={"since": "7D"}), against="3D")) == 1


def test_a_frame_that_ends_early_is_compared_by_its_end():
    frame = failures(("x", 5), ("y", 8), ("y", 12), filters={"since": "28D", "until": "4D"})
    weeks = vx.causes(frame, against="7D")
    assert weeks.attrs["weeks"][-1] == (NOW - pd.Timedelta("4D")).isoformat()
    assert dict(zip(weeks["cause"], weeks["change"], strict=True)) == {"x": "new", "y": "recurring"}
    assert vx.causes(frame, against="7D", now=NOW).attrs["weeks"][-1] == NOW.isoformat()


class Run:
    """A run as far as it is compared."""

    def __init__(self, *rows: tuple[str, str], key: str = "", name: str = "row_id") -> None:
        self._table = pd.DataFrame(rows, columns=[name, "outcome"]).assign(error_code=pd.NA, error_message=pd.NA)
        self._table.attrs = {"key": key} if key else {}

    def results(self) -> pd.DataFrame:
        return self._table


def test_two_runs_are_compared_row_by_row():
    before = Run(("a", "failed"), ("b", "succeeded"), ("c", "failed"), ("d", "blocked"), ("e", "pending"), key="row_id")
    after = Run(
        ("a", "succeeded"), ("b", "failed"), ("c", "failed"), ("e", "blocked"), ("f", "succeeded"), key="row_id"
    )
    table = vx.compare(before, after)
    assert table[["row_id", "was", "now", "change"]].values.tolist() == [
        ["b", "succeeded", "failed", "newly failing"], ["a", "failed", "succeeded", "recovered"],
        ["d", "blocked", "absent", "only before"], ["f", "absent", "succeeded", "only after"],
        ["e", "pending", "blocked", "otherwise"], ["c", "failed", "failed", "same"],
    ]  # fmt: skip


def test_what_is_not_alike_is_not_compared():
    run, posts = Run(("a", "failed"), key="row_id"), Run(("p", "failed"), name="post_id")
    nameless = Run(("p", "failed"), name="id")
    pairs = (
        (run, pd.DataFrame(), "two frames or two runs"),
        (run, posts, "different keys"),
        (nameless, nameless, "runs of plans"),
    )
    for before, after, said in pairs:
        with pytest.raises(vx.errors.PlanError, match=said):
            vx.compare(before, after)
    assert len(vx.compare(Run(key="row_id"), Run(key="row_id"))) == 0


def test_targets_that_share_a_name_are_compared_in_their_order():
    platforms = [{"platform": "twitter", "status": status} for status in ("failed", "published", "failed")]
    targets = vx.targets(build("posts", [{"id": "p", "status": "partial", "platforms": platforms}]))
    assert vx.compare(targets, targets)["rows"].to_dict() == {("failed", "failed"): 2, ("published", "published"): 1}
    later = targets.assign(status=["published", "published", "failed"]).iloc[:2]
    pairs = [("failed", "absent"), ("failed", "published"), ("published", "published")]
    assert vx.compare(targets, later)["rows"].to_dict() == dict.fromkeys(pairs, 1)


@pytest.mark.parametrize("dtype", ["string", "category", object])
def test_a_target_without_a_status_is_there_all_the_same(dtype):
    before = pd.DataFrame({"post_id": ["p", "q"], "platform": "x", "account_id": "a", "status": [None, "failed"]})
    before = before.astype({"status": dtype})
    assert vx.compare(before, before)["rows"].to_dict() == {("failed", "failed"): 1, ("–", "–"): 1}
    assert vx.compare(before, before.tail(1))["rows"].to_dict() == {("failed", "failed"): 1, ("–", "absent"): 1}
    published = before.assign(status="published")
    assert vx.compare(published, before)["rows"].to_dict() == {("published", "failed"): 1, ("published", "–"): 1}
