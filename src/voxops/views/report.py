"""The reports that people forward: of a triage, of webhook deliveries, and of a run that created posts.

A `Report` is a list of sections, each with a sentence, figures and a table, in HTML and in a notebook.
The same frames give the same bytes: no clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import pandas as pd

from voxops._support.arguments import whole_number
from voxops.acts.plan import Plan
from voxops.errors import ConfigError, PlanError
from voxops.frames.registry import is_deliveries
from voxops.views._protocols import RunLike
from voxops.views.delivery_report import delivery_report
from voxops.views.report_file import Options, Report
from voxops.views.run_report import run_report
from voxops.views.triage_report import triage_report

__all__ = ["Report", "report"]


def report(
    subject: pd.DataFrame | RunLike | None = None,
    run: RunLike | None = None,
    *,
    after: pd.DataFrame | None = None,
    title: str | None = None,
    now: datetime | None = None,
    tz: str | None = None,
    owners: Mapping[str, str] | None = None,
    rows: int = 50,
) -> Report:
    """Make the report of a triage, of webhook deliveries, or of a run.

    Parameters
    ----------
    subject : pandas.DataFrame or Run, optional
        A triaged frame, deliveries from ``ws.deliveries``, or a run. The report of a run of an act on existing posts uses the rows of its
        plan, so that a run of yesterday needs nothing else. The report of a run that created or changed posts says what went, what did
        not and why, who must do what, and what goes out when.
    run : Run, optional
        The run that acted on the rows of `subject`: a retry, another act on existing posts, or a redelivery. Its results are
        read now. The tasks are then those that it has left; the rest of the report is about `subject`.
    after : pandas.DataFrame, optional
        For a triage: targets after the run, each with a ``status``; those that are published now are listed with their links.
    title : str, optional
        Title of the report; by default its subject.
    now : datetime, optional
        The instant of the report; without it, the report says only when its data were read. For deliveries, the server's time, which
        decides what is lost; by default when the log was fetched.
    tz : str, optional
        Time zone of what it shows, that of the workspace (``attrs["tz"]``) by default, else UTC.
    owners : mapping of str to str, optional
        Who acts, by verdict or by kind of loss (``down_now``, ``receiver_failed``, ``no_answer``, ``rejected``).
    rows : int
        Most rows of evidence in HTML; CSV has all.

    Returns
    -------
    Report
        With ``frames``: for a triage ``causes failures`` and, after a run, ``left results``; for deliveries
        ``endpoints hours outages duplicates lost``, after a run ``redelivered``; for a run of creates or changes ``plan results left
        schedule``.
        Addresses of webhooks are shown without their query, which may contain a secret.

    Raises
    ------
    PlanError
        If a frame lacks columns, has one twice, or has text instead of times. Also if the log was loaded with ``success=``, or `run`
        did not act on the rows of `subject`.
    ConfigError
        If an argument has no valid value, such as a `now` without an offset, an unknown `tz` or an unknown name in `owners`.
        Also if an argument is for the report of another subject.

    Examples
    --------
    >>> made = vx.report(triaged)
    >>> made.to_html(folder / "triage.html").name
    'triage.html'
    >>> vx.report(log).title
    'Webhook deliveries'
    """
    refusal = ConfigError(f"rows={rows!r} must be a whole number of rows of evidence, 0 for none")
    options = Options(title, now, tz, owners, whole_number(rows, refusal, 0))
    if run is None and callable(getattr(subject, "results", None)):
        subject, run = None, cast("RunLike", subject)
    plan = getattr(run, "plan", None)
    about = plan.act.about if isinstance(plan, Plan) else ""
    if isinstance(subject, pd.DataFrame) and is_deliveries(subject):
        return delivery_report(subject, run, options)
    if about == "delivery":
        raise PlanError(
            "this run is about webhook deliveries: report it with them, vx.report(ws.deliveries(), run=run)"
        )
    if isinstance(plan, Plan) and subject is None and (about == "create" or _changes(plan)):
        return run_report(cast("RunLike", run), plan, options)
    if about == "create":
        raise PlanError("this run creates posts, so it is reported by itself: vx.report(run)")
    return triage_report(cast("pd.DataFrame | None", subject), run, after, options)


def _changes(plan: Plan) -> bool:
    """Whether a plan changes or cancels posts that had not failed; a sync does."""
    return bool(plan.act.parts) or ("targets" in plan.table and "cause" not in plan.table)
