"""Frames that a file or a filter has left without dtypes: columns of times in which nothing stands, and frames without rows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from matplotlib import pyplot as plt

import voxops as vx
from voxops.views import plots

NOTHING = {"float": (float("nan"), "float64"), "naive": (pd.NaT, "datetime64[ns]"), "object": (None, object)}
CALLS: dict[str, dict[str, Any]] = {
    "deliveries": {
        "by day": lambda log: vx.deliveries.stats(log, by="day"),
        "by endpoint": lambda log: vx.deliveries.stats(log, by="endpoint"),
        "outages": vx.deliveries.outages,
        "duplicates": vx.deliveries.duplicates,
        "never delivered": vx.deliveries.lost,
        "report": lambda log: vx.report(log)._repr_html_(),
        "volume": plots.delivery_volume,
        "latency": plots.latency_bands,
        "heat": plots.endpoint_heatmap,
        "view": vx.view,
    },
    "triaged": {
        "causes": vx.causes,
        "weeks": lambda triaged: vx.causes(triaged, by="week"),
        "compared": lambda triaged: vx.causes(triaged, against="7D"),
        "report": lambda triaged: vx.report(triaged)._repr_html_(),
        "view": vx.view,
    },
    "posts": {"view": vx.view},
}


@pytest.fixture(scope="module")
def loaded():
    with vx.connect(sandbox=True) as ws:
        posts = ws.posts()
        return {"deliveries": ws.deliveries(), "triaged": vx.triage(vx.targets(posts)), "posts": posts}


def without_types(frame: pd.DataFrame, how: str) -> pd.DataFrame:
    """Columns of times in which nothing stands, as a file brings them back; or no rows and no dtypes at all."""
    if how == "no rows":
        return pd.DataFrame(columns=frame.columns)
    value, kind = NOTHING[how]
    times = [name for name in frame.columns if isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    return frame.assign(**{name: pd.Series([value] * len(frame), frame.index, kind) for name in times})


@pytest.mark.parametrize("how", [*NOTHING, "no rows"])
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, calls in CALLS.items() for name in calls])
def test_times_of_which_nothing_is_known_are_times(loaded, kind, name, how):
    frame = without_types(loaded[kind], how)
    before = frame.dtypes.to_dict()
    assert CALLS[kind][name](frame) is not None
    assert frame.dtypes.to_dict() == before, "the frame that was passed stays as it is"
    plt.close("all")


def test_a_log_of_what_failed_alone_is_refused_where_the_rest_decides(loaded):
    log = loaded["deliveries"]
    failed = log[log["success"].eq(False).fillna(False)]
    failed.attrs = {**log.attrs, "filters": {"success": False}}
    for call in (vx.deliveries.outages, vx.report):
        with pytest.raises(vx.errors.PlanError, match=r"loaded with success=False; load ws\.deliveries"):
            call(failed)
    assert len(vx.deliveries.lost(failed))
    assert len(vx.deliveries.stats(failed, by="endpoint"))
