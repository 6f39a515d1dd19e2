"""voxops: run social campaigns on the VoxBurst API from a notebook.

::

    import voxops as vx

    ws = vx.connect(sandbox=True)                   # or vx.connect() with VOXBURST_API_KEY set
    posts = ws.posts(status=["failed", "partial"])  # one row per post
    triaged = vx.triage(vx.targets(posts))          # one row per post and platform: cause, verdict, remedy
    run = ws.run(vx.plan_retry(triaged))            # never twice, whatever happens

Re-running any cell, Run All, the whole notebook, after any crash, never posts twice and never loses an item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxops import errors
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.fix import plan_fix
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_reschedule, plan_update
from voxops.analysis.causes import causes, compare
from voxops.analysis.triage import Rule, triage
from voxops.api.matrix import matrix
from voxops.client import AsyncClient, PostFields
from voxops.errors import VoxopsError
from voxops.frames.records import targets

if TYPE_CHECKING:
    from voxops import deliveries, webhooks
    from voxops._support.eventloop import allow_nested_loops
    from voxops.analysis.causes import cause_weeks, compare_weeks
    from voxops.connection import aconnect, connect
    from voxops.frames.arrow import from_arrow
    from voxops.rehearsal import rehearse
    from voxops.run import Run
    from voxops.sheets.campaign import read_campaign
    from voxops.views import plots
    from voxops.views.delivery_report import delivery_report
    from voxops.views.delivery_view import delivery_panel
    from voxops.views.excel import to_excel
    from voxops.views.report import report
    from voxops.views.runs_view import runs_panel
    from voxops.views.triage_view import triage_panel
    from voxops.views.view import view
    from voxops.workspace import Workspace

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Plan",
    "PostFields",
    "Rule",
    "Run",
    "VoxopsError",
    "Workspace",
    "aconnect",
    "allow_nested_loops",
    "cause_weeks",
    "causes",
    "compare",
    "compare_weeks",
    "connect",
    "deliveries",
    "delivery_panel",
    "delivery_report",
    "errors",
    "from_arrow",
    "matrix",
    "plan_cancel",
    "plan_create",
    "plan_fix",
    "plan_redeliver",
    "plan_reschedule",
    "plan_retry",
    "plan_update",
    "plots",
    "read_campaign",
    "rehearse",
    "report",
    "runs_panel",
    "targets",
    "to_excel",
    "triage",
    "triage_panel",
    "view",
    "webhooks",
]

# What draws is loaded when it is first asked for, as matplotlib alone takes longer than everything else together; so is what only
# some notebooks call, and all that sends, with its ledger: whoever connects waits for the network anyway.
_LATER = {
    "deliveries": "voxops.deliveries",
    "webhooks": "voxops.webhooks",
    "Run": "voxops.run",
    "Workspace": "voxops.workspace",
    "aconnect": "voxops.connection",
    "allow_nested_loops": "voxops._support.eventloop",
    "cause_weeks": "voxops.analysis.causes",
    "compare_weeks": "voxops.analysis.causes",
    "connect": "voxops.connection",
    "delivery_panel": "voxops.views.delivery_view",
    "delivery_report": "voxops.views.delivery_report",
    "from_arrow": "voxops.frames.arrow",
    "plots": "voxops.views.plots",
    "read_campaign": "voxops.sheets.campaign",
    "rehearse": "voxops.rehearsal",
    "report": "voxops.views.report",
    "runs_panel": "voxops.views.runs_view",
    "to_excel": "voxops.views.excel",
    "triage_panel": "voxops.views.triage_view",
    "view": "voxops.views.view",
}


_MODULES = {"deliveries", "plots", "webhooks"}


def __getattr__(name: str) -> Any:
    """Load what is loaded late; any other name is a mistake, as always."""
    if name not in _LATER:
        raise AttributeError(f"module 'voxops' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(_LATER[name])
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
