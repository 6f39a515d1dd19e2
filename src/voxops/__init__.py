"""voxops: run social campaigns on the VoxBurst API from a notebook.

::

    import voxops as vx

    ws = vx.connect(sandbox=True)                   # or vx.connect() with VOXBURST_API_KEY set
    posts = ws.posts(status=["failed", "partial"])  # one row per post
    triaged = vx.triage(posts)                      # one row per post and platform: cause, verdict, remedy
    run = ws.run(vx.plan_retry(triaged))            # never twice, whatever happens

On one computer, you can re-run any cell or the whole notebook after any crash. Nothing is posted twice, and no
item is lost.

======================  ===================================================================================
Connect
`connect`               a workspace, by an API key or in the sandbox
`aconnect`              the same for a service with an event loop of its own
`Workspace`             what `connect` returns: loads, checks, runs and watches
`allow_nested_loops`    lets your own cells call ``asyncio.run``
Understand
`triage`                posts or targets with cause, verdict and remedy
`targets`               posts as one row per post and platform
`copies`                duplicate posts, with the post to keep
`columns`               what the columns of a frame mean
`causes`                failures by cause, by week, or against the span before
`deliveries`            webhook deliveries: statistics, outages, copies, losses
`webhooks`              webhook events: verified and read
`Rule`                  a rule of your own for `triage`
`matrix`                the API's capability matrix
Plan
`read_campaign`         a campaign sheet, ready to check and to plan
`plan_retry`            send failed posts again
`plan_fix`              correct failed posts, then send them again
`plan_create`           create the posts of a campaign sheet
`plan_sync`             create, change and withdraw posts until the campaign shows its sheet
`plan_update`           change posts that are not published yet
`plan_cancel`           cancel posts that are not published yet
`plan_redeliver`        send lost webhook deliveries again
`Plan`                  what these return: a table of requests, none of them sent
`Run`                   what ``ws.run(plan)`` returns: progress and results
Show
`view`                  a frame as a table that can be filtered and sorted
`report`                a triage as one file, and as tickets
`plots`                 figures
`to_excel`              frames as a workbook
Script
`AsyncClient`           the API's client on its own
`VoxopsError`           the base of all errors
`errors`                all errors
======================  ===================================================================================
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from voxops import errors
from voxops.errors import VoxopsError
from voxops.model import Displayed

if TYPE_CHECKING:
    from voxops import deliveries, webhooks
    from voxops._support.eventloop import allow_nested_loops
    from voxops.acts.cancel import plan_cancel
    from voxops.acts.create import plan_create
    from voxops.acts.plan import Plan
    from voxops.acts.posts import copies
    from voxops.acts.redeliver import plan_redeliver
    from voxops.acts.retry import plan_fix, plan_retry
    from voxops.acts.sync import plan_sync
    from voxops.acts.update import plan_update
    from voxops.analysis.causes import causes
    from voxops.analysis.triage import Rule, triage
    from voxops.api.matrix import matrix
    from voxops.client import AsyncClient
    from voxops.connection import aconnect, connect
    from voxops.frames.records import targets
    from voxops.frames.registry import columns
    from voxops.run import Run
    from voxops.sheets.campaign import read_campaign
    from voxops.views import plots
    from voxops.views.excel import to_excel
    from voxops.views.report import report
    from voxops.views.view import view
    from voxops.workspace import Workspace

__version__ = "0.1.0"

logging.getLogger("voxops").addHandler(logging.NullHandler())  # what is logged is shown by whoever wants it

__all__ = [
    "AsyncClient",
    "Plan",
    "Rule",
    "Run",
    "VoxopsError",
    "Workspace",
    "aconnect",
    "allow_nested_loops",
    "causes",
    "columns",
    "connect",
    "copies",
    "deliveries",
    "errors",
    "matrix",
    "plan_cancel",
    "plan_create",
    "plan_fix",
    "plan_redeliver",
    "plan_retry",
    "plan_sync",
    "plan_update",
    "plots",
    "read_campaign",
    "report",
    "targets",
    "to_excel",
    "triage",
    "view",
    "webhooks",
]

# Loaded when they are first asked for: pandas takes a second, matplotlib longer, and `voxops --version` needs neither.
_LATER = {
    "AsyncClient": "client", "Plan": "acts.plan", "Rule": "analysis.triage", "Run": "run", "Workspace": "workspace",
    "aconnect": "connection", "allow_nested_loops": "_support.eventloop", "causes": "analysis.causes", "columns": "frames.registry",
    "connect": "connection", "copies": "acts.posts", "deliveries": "deliveries", "matrix": "api.matrix", "plan_cancel": "acts.cancel",
    "plan_create": "acts.create", "plan_fix": "acts.retry", "plan_redeliver": "acts.redeliver", "plan_retry": "acts.retry",
    "plan_sync": "acts.sync", "plan_update": "acts.update", "plots": "views.plots", "read_campaign": "sheets.campaign",
    "report": "views.report", "targets": "frames.records", "to_excel": "views.excel", "triage": "analysis.triage", "view": "views.view",
    "webhooks": "webhooks",
}  # fmt: skip


def _displayed(thing: Any) -> Any:
    """Load the views when a plan or a frame of causes is first displayed."""
    from voxops.views.view import displayed

    return displayed(thing)


Displayed._view = staticmethod(_displayed)


def __getattr__(name: str) -> Any:
    """Load what is loaded late; any other name is a mistake, as always."""
    if name not in _LATER:
        raise AttributeError(f"module 'voxops' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"voxops.{_LATER[name]}")
    value = getattr(module, name, module)  # a namespace is a module itself
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
