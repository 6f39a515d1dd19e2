"""The reports that people forward: of a triage, of webhook deliveries, and of a run that created posts.

A `Report` is a list of sections, each with a sentence, figures and a table, in HTML and in a notebook.
The same frames give the same bytes: no clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import pandas as pd

from voxops.acts.plan import Plan
from voxops.errors import ConfigError, PlanError
from voxops.frames.registry import is_deliveries
from voxops.views._delivery_report import delivery_report
from voxops.views._protocols import RunLike
from voxops.views._report import Report
from voxops.views._run_report import run_report
from voxops.views._triage_report import triage_report

__all__ = ["Report", "report"]


def report(
    subject: pd.DataFrame | RunLike | None = None,
    run: RunLike | None = None,
    *,
    plan: Plan | None = None,
    before: pd.DataFrame | None = None,
    after: pd.DataFrame | None = None,
    weeks: pd.DataFrame | None = None,
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
    plan : Plan, optional
        For a triage: the plan; by default the run's.
    before, after : pandas.DataFrame, optional
        For a triage: targets before and after the run, each with a ``status``; by default `subject` and the run's results.
    weeks : pandas.DataFrame, optional
        This week against last, from ``vx.causes(triaged, against="7D")``.
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
        With ``frames``: for a triage ``causes failures`` and, if given, ``weeks left plan results``; for deliveries
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
    if run is None and callable(getattr(subject, "results", None)):
        subject, run = None, cast("RunLike", subject)
    about = getattr(getattr(getattr(run, "plan", None), "act", None), "about", "")
    of_triage = {"plan": plan, "before": before, "after": after, "weeks": weeks}
    if isinstance(subject, pd.DataFrame) and is_deliveries(subject):
        _refuse("deliveries", of_triage)
        return delivery_report(subject, run=run, title=title, tz=tz, now=now, owners=owners, rows=rows)
    if about == "delivery":
        raise PlanError(
            "this run is about webhook deliveries: report it with them, vx.report(ws.deliveries(), run=run)"
        )
    if about == "create":
        if subject is not None:
            raise PlanError("this run creates posts, so it is reported by itself: vx.report(run)")
        assert run is not None
        _refuse("a run of creates", of_triage)
        return run_report(run, title=title, now=now, tz=tz, owners=owners, rows=rows)
    if subject is None and plan is None and run is not None and _is_of_changes(run):
        _refuse("a run of changes", of_triage)
        return run_report(run, title=title, now=now, tz=tz, owners=owners, rows=rows)
    return triage_report(
        cast("pd.DataFrame | None", subject),
        run,
        plan=plan,
        before=before,
        after=after,
        weeks=weeks,
        title=title,
        now=now,
        tz=tz,
        owners=owners,
        rows=rows,
    )


def _is_of_changes(run: RunLike) -> bool:
    """Whether a run changed or cancelled posts that had not failed."""
    plan = getattr(run, "plan", None)
    planned = getattr(plan, "frame", None)
    if isinstance(plan, Plan) and plan.act.parts:  # a sync
        return True
    return isinstance(planned, pd.DataFrame) and "targets" in planned.columns and "cause" not in planned.columns


def _refuse(subject: str, arguments: Mapping[str, object]) -> None:
    """Refuse arguments that the report of a subject does not take."""
    for name, value in arguments.items():
        if value is not None:
            raise ConfigError(f"{name}= is not for the report of {subject}; leave it out")
