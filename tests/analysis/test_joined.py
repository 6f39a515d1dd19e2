"""Frames that analysts joined, with duplicate targets, and indexed by columns that they still have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox

Frames = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def frames() -> Iterator[Frames]:
    with Sandbox(seed=7, speed=0, rate_limit=None) as server, vx.connect(sandbox=server) as ws:
        posts, log = ws.posts(), ws.deliveries()
        yield {"posts": posts, "log": log, "triaged": vx.triage(vx.targets(posts))}


def bars(triaged: pd.DataFrame) -> pd.DataFrame:
    """The contents of the plot of causes."""
    axes = vx.plots.causes_by_platform(triaged)
    widths = [patch.get_width() for patch in axes.patches]
    plt.close("all")
    return pd.DataFrame({"width": widths})


ON_TRIAGED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "causes": vx.causes, "causes by week": lambda triaged: vx.causes(triaged, by="week"),
    "causes against": lambda triaged: vx.causes(triaged, against="3D", now=triaged["updated_at"].max()),
    "report": lambda triaged: vx.report(triaged).frames["causes"], "plot": bars,
}  # fmt: skip
ON_LOG: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "stats": lambda log: vx.deliveries.stats(log, by=["day", "event"]),
    "outages": vx.deliveries.outages, "duplicates": vx.deliveries.duplicates,
    "lost": lambda log: vx.deliveries.lost(log).reset_index(drop=True),
}  # fmt: skip


def indexed(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The frame indexed by columns that it keeps."""
    return frame.set_index(list(names), drop=False)


@pytest.mark.parametrize("call", ON_TRIAGED)
def test_two_joined_triaged_frames_count_what_one_does(frames, call):
    triaged = frames["triaged"]
    expected = ON_TRIAGED[call](triaged)
    assert len(expected)
    later = triaged.assign(updated_at=triaged["updated_at"] - pd.Timedelta("1h"), error_message="as it was before")
    for joined in (
        pd.concat([triaged, triaged]),
        pd.concat([triaged.head(30), triaged.tail(-10)]),
        pd.concat([triaged, later]),
    ):
        pd.testing.assert_frame_equal(ON_TRIAGED[call](joined), expected)


def test_what_has_recovered_is_no_cause_any_more(frames):
    failed = frames["triaged"][frames["triaged"]["status"].eq("failed")]
    well = failed.assign(status="published", updated_at=failed["updated_at"] + pd.Timedelta("1h"))
    joined = pd.concat([failed, vx.triage(well)])
    assert vx.causes(joined).empty
    assert vx.report(joined).frames["failures"].empty


@pytest.mark.parametrize(
    ("kind", "call"), [*(("triaged", call) for call in ON_TRIAGED), *(("log", call) for call in ON_LOG)]
)
def test_frames_may_be_indexed_by_their_columns(frames, kind, call):
    frame, run = frames[kind], {**ON_TRIAGED, **ON_LOG}[call]
    names = {"post_id", "cause", "updated_at", "platform", "delivery_id", "url", "event_type", "created_at"}
    expected = run(frame)
    assert len(expected)
    pd.testing.assert_frame_equal(run(indexed(frame, *frame.columns.intersection(list(names)))), expected)
