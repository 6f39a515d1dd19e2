"""The panel of a workspace: failures, deliveries or runs, handled by clicking."""

from __future__ import annotations

import pandas as pd

from voxops.errors import PlanError
from voxops.frames.checks import kind_name
from voxops.frames.registry import is_deliveries
from voxops.views._panel_base import Panel
from voxops.views._protocols import WorkspaceLike
from voxops.views.delivery_panel import DeliveryPanel
from voxops.views.runs_panel import RunsPanel
from voxops.views.triage_panel import TriagePanel

__all__ = ["Panel", "panel"]

_TAKES = (
    "ws.panel() takes a triaged frame, vx.triage(posts), or posts or targets, which it triages; deliveries, "
    "ws.deliveries(...); or nothing, for the runs"
)


def panel(ws: WorkspaceLike, frame: pd.DataFrame | None = None) -> Panel:
    """Return the panel for a frame; see `Workspace.panel`."""
    if isinstance(frame, pd.DataFrame) and is_deliveries(frame):
        return DeliveryPanel(ws, frame)
    if frame is None:
        return RunsPanel(ws)
    if not isinstance(frame, pd.DataFrame):
        raise PlanError(f"{_TAKES}, not {kind_name(frame)}")
    if "post_id" not in frame.columns:
        raise PlanError(f"{_TAKES}; this frame has none of their columns: {', '.join(map(str, frame.columns))[:400]}")
    return TriagePanel(ws, frame)
