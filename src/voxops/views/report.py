"""The reports that people forward, of a triage, of webhook deliveries and of a run, and the files and tickets that are made of them.

Each is made of frames, and its template draws it. The same frames give the same bytes: no clock is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from voxops import deliveries
from voxops._support import files, safe
from voxops._support.arguments import file_path
from voxops.acts.plan import PLAN_TYPES, Plan, RunLike
from voxops.analysis.causes import causes, names_of
from voxops.analysis.statistics import deduplicate, need_both_results
from voxops.analysis.triage import judge, triage
from voxops.api.reasons import FOR_READERS, NEED_NOBODY
from voxops.errors import PlanError
from voxops.frames.checks import flags, need, restored
from voxops.frames.records import TARGET_KEY, latest_targets
from voxops.frames.registry import OTHER, OUTCOME, VERDICT, column_named, is_deliveries
from voxops.frames.times import shown_zone
from voxops.model import ASKS_NOBODY, OUTCOMES, Outcome, Verdict
from voxops.views import plots
from voxops.views.excel import write_csv, write_workbook
from voxops.views.table import Part, Table, draw, in_reading_order, redacted, table_of, text_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_ROWS = 50  # of a table
_INK = "#010203"  # placeholder for the page's text colour while a figure is drawn
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
__all__ = ["Report", "report"]
_SHEET = "correct the sheet"  # what rows need that were never sent
# Verdict -> who acts; the owners of the posts are named beside those in `_PERSONAL`.
_WHO: Mapping[str, str] = {
    Verdict.RETRY: "operations: run the retry plan",
    Verdict.WAIT: "nobody: it resolves on its own",
    Verdict.FIX_CONTENT: "the author of the post",
    Verdict.FIX_MEDIA: "the author of the post",
    Verdict.RECONNECT: "whoever owns the account",
    Verdict.UPGRADE: "the owner of the workspace",
    Verdict.SUPPORT: "operations, with support",
    Verdict.NOTHING: "nobody",
    _SHEET: "whoever keeps the sheet",
}
_PERSONAL = {Verdict.FIX_CONTENT, Verdict.FIX_MEDIA, Verdict.RECONNECT, _SHEET}
# Outcome of what was sent and has not ended -> its verdict and remedy.
_OPEN = {
    Outcome.PENDING: (Verdict.WAIT, "It was sent and has not ended."),
    Outcome.UNKNOWN: (Verdict.SUPPORT, "It was sent and its outcome is unknown: look at the post."),
}
# Kind of loss -> who acts, and how.
_LOSSES = {
    "down_now": (
        "whoever runs the receiver",
        "First attempts fail and have not recovered: look at the receiver before anything else.",
    ),
    "receiver_failed": ("operations: redeliver", "Make sure that the receiver works, then redeliver."),
    "no_answer": ("operations: redeliver", "Make sure that the receiver can be reached, then redeliver."),
    "rejected": (
        "the developers of the receiver",
        "The receiver refused these deliveries. Find out why before you redeliver: it would refuse them again.",
    ),
}
_KEYS = list(TARGET_KEY)
_TRIAGED = (*TARGET_KEY, "status", "error_message", "updated_at", "cause", "verdict", "remedy", "retryable")
_TICKET_ROWS = 50  # rows of one remedy in one ticket
_TICKET_COLUMNS = (
    "post_id", "platform", "account_name", "account_id", "error_code", "error_message", "updated_at", "content", "platform_post_url",
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """One number of the summary, its label, and its colour."""

    count: int
    label: str
    colour: str


@dataclass(frozen=True, eq=False)
class Report:
    """A finished report, returned by `report`.

    Attributes
    ----------
    subject : str
        ``triage``, ``run`` or ``deliveries``, which names the template.
    title : str
        The title.
    source : pandas.DataFrame
        What it is about, with the ``attrs`` of its load.
    about : tuple of str
        Where the data come from and when they were read.
    facts : tuple of Fact
        The numbers at the top.
    actions : pandas.DataFrame
        Who must do what, on how many rows, and how.
    frames : mapping of str to pandas.DataFrame
        The data in full. A triage has ``causes``, ``failures`` and, after a run, ``results`` and ``left``: the failures without those
        that succeeded, with a new triage of those that failed again. Deliveries have ``endpoints outages duplicates lost`` and, after a
        run, ``results``. A run of creates or changes has ``plan``, ``results`` and ``left`` (the rows that did not go).
    tz : str
        The time zone of the times shown.
    figures : mapping of str to callable
        What draws each figure, and returns its Axes.
    """

    subject: str
    title: str
    source: pd.DataFrame
    facts: tuple[Fact, ...]
    actions: pd.DataFrame
    frames: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Callable[[], Axes]] = field(default_factory=dict)
    about: tuple[str, ...] = ()
    tz: str = "UTC"

    @property
    def headline(self) -> str:
        """The numbers in words, such as ``7 failed, 6 arrived``."""
        return ", ".join(f"{fact.count:,} {fact.label}" for fact in self.facts if fact.count) or "nothing to report"

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained HTML file with its figures, readable offline, in mail previews and on paper.

        Raises
        ------
        ConfigError
            If `path` is no path or can't be written; the other forms raise it, too.
        """
        return files.export(file_path("path", path), self._drawn("report.html"))

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Write each of `frames` as CSV for a spreadsheet: times in the zone of the report, formulas guarded."""
        place = file_path("folder", folder)
        return [write_csv(frame, place / f"{name}.csv", self.tz) for name, frame in self.frames.items()]

    def to_excel(self, path: str | Path) -> Path:
        """Write `frames` as one Excel workbook, a sheet for each; see ``vx.to_excel``."""
        return write_workbook(self.frames, file_path("path", path), self.tz)

    def tickets(self) -> dict[str, str]:
        """Return the tasks as texts for tickets, mails or a chat: one per account, one per owner, and one for support.

        What the owner of an account must do is in the ticket of the account, the rest in that of the post's owner. The texts are
        plain. Where Markdown is shown, they stand in indented blocks and stay as they are.

        Returns
        -------
        dict of str to str
            Account, then owner -> text, each sorted by name; ``nobody`` for posts without an owner, and last ``support``.

        Raises
        ------
        PlanError
            If the report is not about a triage.
        """
        if self.subject != "triage":
            raise PlanError(f"tickets() are for the report of a triage, vx.report(triaged); this one is {self.title!r}")
        return tickets(
            self.frames.get("left", self.frames["failures"]), f"{self.title}: {' · '.join(self.about)}", self.tz
        )

    def __dir__(self) -> list[str]:
        """The public names."""
        return ["frames", "to_csv", "to_excel", "to_html", *(["tickets"] if self.subject == "triage" else [])]

    def _repr_html_(self) -> str:
        return self._drawn("report_body.html")

    def __repr__(self) -> str:
        return Part(self.title, line=self.headline, table=self._table(self.actions)).text()

    def _table(self, frame: pd.DataFrame) -> Table:
        return table_of(in_reading_order(frame), tz=self.tz, most=_ROWS)

    def _drawn(self, template: str) -> str:
        figures = {name: _svg(figure, f"vx-{name}") for name, figure in self.figures.items()}
        tables = {name: self._table(frame) for name, frame in self.frames.items()}
        context = {"name": "report", "report": self, "actions": self._table(self.actions)}
        return draw(template, **context, tables=tables, figures=figures)


def outcome_facts(results: pd.DataFrame | None, when: str = "") -> list[Fact]:
    """Return how many rows of a run ended in each outcome."""
    ended = [] if results is None else results["outcome"].tolist()
    return [Fact(ended.count(name), f"{name} {when}".strip(), OUTCOME[name].colour) for name in OUTCOMES]


def _svg(figure: Callable[[], Axes], salt: str) -> str:
    """Draw a figure as inline SVG: the same bytes each time, in the page's text colour, with ids that only `salt` has."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    clear = dict.fromkeys(("axes.facecolor", "figure.facecolor"), "none")
    style = {**dict.fromkeys(_INKED, _INK), **clear, "svg.hashsalt": salt, "svg.fonttype": "none"}
    with mpl.rc_context():
        mpl.rcdefaults()  # the report must not depend on the notebook's style
        mpl.rcParams.update(cast("Any", style))
        canvas: Any = figure().figure
        drawn = StringIO()
        canvas.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        plt.close(canvas)
    svg = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", drawn.getvalue(), flags=re.DOTALL)
    return re.sub(r' id="[\w.]+_\d+"', "", svg.replace(_INK, "currentColor"))  # what nothing refers to


def report(
    subject: pd.DataFrame | RunLike | None = None,
    run: RunLike | None = None,
    *,
    after: pd.DataFrame | None = None,
    title: str | None = None,
    tz: str | None = None,
) -> Report:
    """Make the report of a triage, of webhook deliveries, or of a run.

    Parameters
    ----------
    subject : pandas.DataFrame or Run, optional
        A triaged frame, deliveries from ``ws.deliveries``, or a run. The report of a retry uses the rows of its plan, so that a run of
        yesterday needs nothing else. The report of a run that created or changed posts says what went, what did not and why, who must do
        what, and what goes out when.
    run : Run, optional
        The run that acted on the rows of `subject`: a retry, another act on existing posts, or a redelivery. Its results are
        read now. The tasks are then those that it has left; the rest of the report is about `subject`.
    after : pandas.DataFrame, optional
        For a triage: targets after the run, each with a ``status``; those that are published now are listed with their links.
    title : str, optional
        Title of the report; by default its subject.
    tz : str, optional
        Time zone of what it shows, that of the workspace (``attrs["tz"]``) by default, else UTC.

    Returns
    -------
    Report
        With ``frames``: for a triage ``causes failures`` and, after a run, ``left results``; for deliveries
        ``endpoints outages duplicates lost``, after a run ``redelivered``; for a run of creates or changes ``plan results left``.
        Addresses of webhooks are shown without their query, which may contain a secret.

    Raises
    ------
    PlanError
        If a frame lacks columns, has one twice, or has text instead of times. Also if the log was loaded with ``success=``, or `run`
        did not act on the rows of `subject`.
    ConfigError
        If an argument has no valid value, such as an unknown `tz`.

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
    plan = getattr(run, "plan", None)
    if run is not None and not isinstance(plan, Plan):
        raise PlanError("report(run=) needs the run of a plan. Pass what ws.run(plan) returned.")
    if isinstance(subject, pd.DataFrame) and is_deliveries(subject):
        made = _of_deliveries(subject, run, tz)
    elif run is not None and plan is not None and subject is None and "cause" not in plan.table:
        made = _of_run(run, plan)
    else:
        made = _of_triage(cast("pd.DataFrame | None", subject), run, after)
    return _with_source(made, run, title, tz)


def _with_source(made: Report, run: RunLike | None, title: str | None, tz: str | None) -> Report:
    """Return a report with its title, where its data come from, and when they were read."""
    source = made.source.attrs
    tz = shown_zone(made.source, tz)
    filters = {name: value for name, value in (source.get("filters") or {}).items() if value}
    about = (
        f"data from {source['source']}" if source.get("source") else "",
        f"read {safe.instant(pd.Timestamp(source['fetched_at']).to_pydatetime(), tz=tz)}"
        if "fetched_at" in source
        else "",
        f"times in {tz}",
        *(f"{name} {', '.join(value) if isinstance(value, list) else value}" for name, value in filters.items()),
        "INCOMPLETE: the listing was cut short" if source.get("complete") is False else "",
        f"run {run.id}" if run else "",
    )
    return replace(made, title=safe.plain(title or made.title, 120), about=tuple(filter(None, about)), tz=tz)


# A triage


def _of_triage(triaged: pd.DataFrame | None, run: RunLike | None, after: pd.DataFrame | None) -> Report:
    """Make the report of a triage and of the run that followed, if any."""
    if triaged is None and run is not None:
        triaged = cast("Plan", run.plan).frame.drop(columns=[*PLAN_TYPES])
    what = "report() needs a triaged frame"
    maker = "Use vx.triage(posts), or pass deliveries, ws.deliveries(...), or the run of a plan."
    triaged = latest_targets(restored(need(triaged, _TRIAGED, what, maker, times=["updated_at"])))
    triaged = triaged.assign(retryable=flags(triaged, "retryable"))  # may be text if read from a file
    failures = left = triaged[triaged["cause"].notna()]
    frames = {"causes": causes(triaged), "failures": failures}
    if run is not None:
        left = _left(failures, run)
        frames |= {"left": left, "results": run.results()}
    if after is not None:
        after = need(after, [*_KEYS, "status"], "report(after=) needs a targets frame", "Use vx.targets(posts).")
        frames["published"] = after[after["status"] == "published"].merge(failures[_KEYS].drop_duplicates())
    retry, idle = left["retryable"].astype(bool), left["verdict"].isin(list(ASKS_NOBODY)).astype(bool)
    where = account_of(left).where(left["verdict"] == Verdict.RECONNECT, "")
    return Report(
        subject="triage",
        title="Failure triage",
        source=triaged,
        facts=(
            Fact(len(left), "failed or hang", OUTCOME["failed"].colour),
            Fact(int(retry.sum()), "can be retried", VERDICT[Verdict.RETRY].colour),
            Fact(int((~retry & ~idle).sum()), "need a person to act first", VERDICT[Verdict.FIX_CONTENT].colour),
            Fact(int((~retry & idle).sum()), "resolve by waiting", VERDICT[Verdict.WAIT].colour),
            *outcome_facts(frames.get("results"), "after the run"),
        ),
        actions=_actions(left, left["verdict"], left["remedy"], where),
        frames=frames,
        figures={"causes": partial(plots.causes_by_platform, failures)} if len(failures) else {},
    )


def _left(failures: pd.DataFrame, run: RunLike) -> pd.DataFrame:
    """Return the failures after a run: without those that succeeded, and with the new error of those that failed again."""
    results = run.results()
    if not {*_KEYS} <= {*results}:
        return failures
    ended = results.drop_duplicates(_KEYS).set_index(_KEYS)["outcome"]
    outcome = failures.join(ended, on=_KEYS)["outcome"]
    left = failures[~outcome.isin([Outcome.SUCCEEDED, Outcome.FAILED])].copy()
    for name, (verdict, remedy) in _OPEN.items():
        left.loc[outcome.eq(name)[left.index], ["verdict", "remedy", "retryable"]] = (verdict, remedy, False)
    again = triage(run.failed().drop(columns="outcome", errors="ignore"))
    again = failures.loc[outcome.eq(Outcome.FAILED), _KEYS].merge(again).reindex(columns=failures.columns)
    table = pd.concat([left, again]) if len(again) else left
    table.attrs = failures.attrs
    return table


def _actions(rows: pd.DataFrame, what: Any, how: Any, where: Any = "") -> pd.DataFrame:
    """Return one row per need and place, the largest first: who acts, on how many rows, and how."""
    table = rows.assign(what=what, how=how, where=where, owner=rows.get("owner"))
    table = table.groupby(["what", "where"], sort=False, dropna=False, as_index=False).agg(
        rows=("what", "size"),
        how=("how", lambda texts: " ".join(texts.value_counts().index)),
        owners=("owner", names_of),
    )
    owners = ("; posts of " + table["owners"]).where(table["what"].isin(_PERSONAL) & table["owners"].ne(""), "")
    table.insert(1, "who", table["what"].map(_WHO).fillna("operations") + owners)
    return table.drop(columns="owners").sort_values("rows", ascending=False, kind="stable")


# A run


def _of_run(run: RunLike, plan: Plan) -> Report:
    """Make the report of a run from its results and its plan."""
    results, planned = run.results(), plan.frame
    short = results[results["outcome"].ne(Outcome.SUCCEEDED) | results["notice"].notna()]
    blocked = planned[~planned["eligible"].astype(bool) & ~planned["reason_code"].isin(NEED_NOBODY)]
    left = pd.concat([short, blocked.assign(outcome="not eligible")]) if len(blocked) else short
    left = left.reindex(columns=[*dict.fromkeys([*results, *planned])])
    twice = left["notice"].str.split(";").str[0]
    why = twice.fillna(left["error_message"]).fillna(left["reason_code"].map(FOR_READERS)).fillna(left["waiting_for"])
    left = left.assign(why=why.fillna(left["reason"]))
    rules = [
        judge(code, None, text) if pd.notna(code) else None
        for code, text in zip(left["error_code"], left["why"], strict=True)
    ]
    what = [str(rule.verdict) if rule else _SHEET for rule in rules]
    how = [f"{rule.remedy} ({text})" if rule else text for rule, text in zip(rules, left["why"], strict=True)]
    return Report(
        subject="run",
        title=f"Campaign {plan.campaign}" if plan.campaign else f"Run: {plan.act.verb}",
        source=results,
        facts=(*outcome_facts(results), Fact(len(blocked), "not eligible", OTHER.colour)),
        actions=_actions(left, what, how),
        frames={"plan": planned, "results": results, "left": left},
    )


# Deliveries


def _of_deliveries(log: pd.DataFrame, run: RunLike | None, tz: str | None) -> Report:
    """Make the report of a delivery history."""
    need_both_results(log, "report()")
    attrs = {**log.attrs, "tz": shown_zone(log, tz)}
    log = deduplicate(log).reset_index(drop=True)
    log.attrs = attrs
    endpoints, outages, lost = deliveries.stats(log, by="endpoint"), deliveries.outages(log), deliveries.lost(log)
    frames = {"endpoints": endpoints, "outages": outages, "duplicates": deliveries.duplicates(log, possible=False)}
    if run is not None:
        what, maker = "report(run=) of deliveries needs the run of a redelivery", "Pass ws.run(vx.plan_redeliver(log))."
        frames["results"] = results = need(run.results(), ["delivery_id"], what, maker)
        arriving = results["outcome"].isin([Outcome.SUCCEEDED, Outcome.PENDING])
        lost = lost[~lost["delivery_id"].isin(results.loc[arriving, "delivery_id"])]
    ended = (attrs.get("filters") or {}).get("until") is not None  # then nothing is known of the present
    down = outages[outages["recovered_at"].isna() & (not ended)]
    arrived, failed, flying = (int(endpoints[name].sum()) for name in ("succeeded", "failed", "in_flight"))
    share = f" ({safe.percent(arrived / (arrived + failed))})" if arrived + failed else ""
    good, bad = OUTCOME["succeeded"].colour, OUTCOME["failed"].colour
    draws = {"volume": plots.delivery_volume, "latency": plots.latency_bands, "hours": plots.endpoint_heatmap}
    return Report(
        subject="deliveries",
        title="Webhook deliveries",
        source=log,
        facts=(
            Fact(arrived, f"arrived{share}", good),
            Fact(failed, "failed", bad),
            Fact(len(lost), "never arrived", bad),
            Fact(len(outages), "outages", bad),
            Fact(flying, "in flight", OUTCOME["pending"].colour),
            *outcome_facts(frames.get("results"), "after the redelivery"),
        ),
        actions=_lost_actions(down, lost),
        frames={name: redacted(frame) for name, frame in {**frames, "lost": lost}.items()},
        figures={name: partial(draw, log, tz=attrs["tz"]) for name, draw in draws.items()},
    )


def _lost_actions(down: pd.DataFrame, lost: pd.DataFrame) -> pd.DataFrame:
    """Return one row per kind of loss: who acts, on how many deliveries, how, and where."""
    failing = down.loc[down.index.repeat(down["failed_first"].to_list())]  # counts deliveries, as the other kinds do
    urls = {code: lost.loc[lost["reason_code"] == code, "url"] for code in _LOSSES} | {"down_now": failing["url"]}
    names = {code: names_of(some.map(safe.redact_address), len(some)) for code, some in urls.items() if len(some)}
    rows = [
        (code.replace("_", " "), _LOSSES[code][0], len(urls[code]), _LOSSES[code][1], names[code]) for code in names
    ]
    return pd.DataFrame(rows, columns=["what", "who", "rows", "how", "where"])


def tickets(failures: pd.DataFrame, about: str, tz: str) -> dict[str, str]:
    """Return account, owner or ``support`` -> text; see `Report.tickets`."""
    account, support = failures["verdict"] == Verdict.RECONNECT, failures["verdict"] == Verdict.SUPPORT
    owners = failures.get("owner", pd.Series(pd.NA, failures.index, "string")).fillna("nobody")
    names = owners.mask(account, account_of(failures) + " (account)").mask(support, "support")
    failures = redacted(failures)
    tasks = ((safe.plain(name, 80), rows) for (*_, name), rows in failures.groupby([support, ~account, names]))
    return {name: _ticket(name, about, rows, tz) for name, rows in tasks}


def account_of(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return the platform and the account of each target."""
    names = rows.get("account_name", rows["account_id"]).fillna(rows["account_id"])
    return rows["platform"] + " " + names.fillna("–")


def _ticket(name: str, about: str, rows: pd.DataFrame, tz: str) -> str:
    """Return one ticket: a block for each remedy, the most rows first."""
    blocks = [[f"{name}: {safe.many(len(rows), 'target')}", about]]
    remedies = rows["verdict"].fillna("–") + ": " + rows["remedy"].fillna("")
    for remedy, count in remedies.value_counts().items():
        shown = rows[remedies == remedy].head(_TICKET_ROWS).filter(_TICKET_COLUMNS)
        whole = {name: column_named(name)._replace(kind="text") for name in shown}  # people search for whole ids
        columns = [[text_of(value, whole[name], tz) for value in shown[name]] for name in shown]
        lines = [" · ".join(filter(None, texts)) for texts in zip(*columns, strict=True)]
        more = [f"and {count - _TICKET_ROWS:,} more"] if count > _TICKET_ROWS else []
        blocks.append([f"{safe.many(count, 'target')}: {remedy}", *lines, *more])
    return "\n\n".join("\n".join(f"    {safe.plain(line, 1000)}" for line in block) for block in blocks) + "\n"
