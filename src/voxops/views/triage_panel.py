"""The triage panel: failures, their causes, and a retry of those that a person has chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

import pandas as pd

from voxops._support import document, safe
from voxops._support.document import Block
from voxops.acts.plan import Plan
from voxops.acts.retry import plan_fix, plan_retry
from voxops.analysis.causes import causes
from voxops.analysis.triage import NEEDED, triage
from voxops.frames.cells import is_missing
from voxops.frames.checks import need, restored
from voxops.frames.palette import PLATFORM, STATUS, VERDICT, Look, look
from voxops.frames.records import TARGET_KEY, latest_targets, targets
from voxops.frames.registry import column_named
from voxops.frames.table import full_text, text_of
from voxops.frames.times import shown_zone
from voxops.model import IN_FLIGHT_STATUSES, Verdict
from voxops.views._display import Tab
from voxops.views._panel_base import ANOTHER_TABLE, Panel, opening
from voxops.views._protocols import RunLike, WorkspaceLike
from voxops.views._remaining import remaining_failures
from voxops.views._row_filter import RowFilter, changes_code, load_code, only_code, quoted, rows_code
from voxops.views._rows import RowTable, grid_columns
from voxops.views._summary import in_words, none_failed

__all__ = ["TriagePanel"]

_JUDGED = ("cause", "verdict", "remedy", "retryable")
_MOMENTS = ("updated_at", "published_at", "scheduled_for")
_CAUSES = 25  # causes shown; the rest is counted
_PICTURES = ("media_url", "thumbnail_url", "media")
_COLUMNS = ("platform", "account_id", "owner", "verdict", "cause", "content", "updated_at")
_HIDDEN = ("campaign", "tags", "post_id", "status", "error_code", "error_message", "retry_count")


class TriagePanel(Panel):
    """Filter failures, plan, check, run and compare; returned by ``ws.panel(triaged)``."""

    TITLE, ROWS = "Triage", "Failures"

    def __init__(self, ws: WorkspaceLike, frame: pd.DataFrame) -> None:
        super().__init__(ws)
        posts = "targets" in frame.columns
        self._origin = (
            "vx.triage(vx.targets(...))" if posts else "..." if "cause" in frame.columns else "vx.triage(...)"
        )
        frame = restored(frame)
        triaged = frame if "cause" in frame.columns else triage(targets(frame) if posts else frame)
        triaged = need(
            triaged,
            (*TARGET_KEY, "cause", "verdict", "status", "updated_at"),
            "ws.panel() needs a triaged frame",
            "Use vx.triage(posts).",
            times=["updated_at"],
        )
        triaged = latest_targets(triaged)
        self._attrs, self._triaged = triaged.attrs, triaged
        self._tz = shown_zone(triaged)
        self._failed = triaged[triaged["cause"].notna()]
        self._fixed: Mapping[str, str] = {}  # what a person has typed to mend the row that was planned last
        self._runs: list[RunLike] = []  # ended here: their results are newer than the frame
        self._set_rows(self._table(self._failed))

    def _table(self, failed: pd.DataFrame) -> RowTable:
        """Return the table of failures; accounts are shown by name."""
        named = failed.get("account_name", failed["account_id"])
        named = named.where(named.notna(), failed["account_id"])
        words = {"account_id": named.astype("string") + " (" + failed["platform"].astype("string").fillna("–") + ")"}
        shown = failed.reset_index(drop=True)
        shown.attrs = dict(self._attrs)
        if "tags" in shown.columns:
            words["tags"] = shown["tags"].map(
                lambda tags: None if is_missing(tags) else ", ".join(map(str, tags)) or None
            )
        words = {name: text.reset_index(drop=True) for name, text in words.items()}
        columns = grid_columns(shown, _COLUMNS, words, hidden=_HIDDEN, titles={"account_id": "account"})
        return RowTable(shown, columns, words, shown["retryable"].astype(bool) if "retryable" in shown else None)

    def _looks(self) -> Mapping[str, Mapping[str, Look]]:
        return {"verdict": VERDICT, "platform": PLATFORM, "status": STATUS}

    def _say(self) -> str:
        if self._runs:
            when = f", as run {self._runs[-1].id} has left them"
        elif read := self._attrs.get("fetched_at"):
            when = f", read {safe.instant(pd.Timestamp(read).to_pydatetime(), tz=self._tz)}"
        else:
            when = ""
        return f"{in_words(self._failed) or none_failed(self._triaged).rstrip('.')}{when}"

    def _facts(self) -> Sequence[Block]:
        counts = self._failed["verdict"].astype("string").fillna("–").value_counts()
        known = [name for name in map(str, VERDICT) if name in counts.index]
        order = known + sorted(set(counts.index) - set(known))
        return [
            document.line(self._say()),
            document.facts(
                ((int(counts[name]), name, look(VERDICT, name).colour, look(VERDICT, name).glyph) for name in order),
                picks="verdict",
            ),
        ]

    def _tabs(self) -> Sequence[Tab]:
        return [Tab("causes", "Causes", cause_blocks(self._failed, rest=none_failed(self._triaged)))]

    def _plan_of(self, chosen: pd.DataFrame, form: Mapping[str, Any]) -> Plan:  # noqa: ARG002  as every panel's
        self._fixed = {}
        return plan_retry(chosen)

    def _heard(self, message: Mapping[str, Any]) -> None:
        """Plan the correction of one row that a person has typed; it is seen before it is sent."""
        match message:
            case {"do": "mend", "row": int(row), "values": dict(values), "version": version}:
                self._tasks.run_blocking(lambda: self._mend(row, values, version, message.get("page")))
            case _:
                super()._heard(message)

    def _mend(self, row: int, values: Mapping[str, Any], version: object, page: object) -> None:
        """Plan the fix of one row: with another text, another medium, or both."""
        rows = self._rows
        if rows is None or version != rows.version or not 0 <= row < len(rows.frame):
            return self._complain(ANOTHER_TABLE)
        chosen = rows.frame.iloc[[row]]
        before = _text(chosen["content"].iloc[0])
        typed = {name: str(values.get(name) or "").strip() for name in ("new_content", "new_media_url")}
        wanted = {name: text for name, text in typed.items() if text and text != before}
        if not wanted:
            return self._complain(
                "Nothing was changed, so nothing was planned. Type another text, or the address of another picture."
            )
        mended = chosen.assign(**{name: pd.array([text], dtype="string") for name, text in wanted.items()})
        mended.attrs = dict(self._attrs)
        self._fixed = wanted
        self._chosen, self._planned_lines = mended, self._lines_for(chosen)
        return self._runner.make(lambda: plan_fix(mended), {}, page)

    def _plan_failed(self, failed: pd.DataFrame) -> Plan:
        return plan_retry(failed)

    def _ended(self, run: RunLike) -> None:
        """Show the failures that the run has left, those that failed again with the new error."""
        before = self._failed if "attempt" in self._failed else self._failed.assign(attempt=1)
        self._failed = remaining_failures(before, run.results(), run.failed())
        self._runs.append(run)
        self._set_rows(self._table(self._failed))

    def _details(self, row: int) -> Sequence[Block | None]:
        """Return the whole text, the error, the picture, the link, and the tries."""
        assert self._rows is not None
        found = {str(name): value for name, value in self._rows.frame.iloc[row].items()}
        known = {
            name: found.get(name)
            for name in (
                *(
                    "owner",
                    "campaign",
                    "tags",
                    "post_id",
                    "platform",
                    "account_name",
                    "account_id",
                    "status",
                    "updated_at",
                ),
                *("last_outcome", "last_code", "last_tried_at", "tried"),
            )
            if name in found
        }
        picture = next((str(found[name]) for name in _PICTURES if _there(found.get(name))), "")
        trail = self._ws.ledger()
        tried = (
            trail[(trail["item"] == found["post_id"]) & (trail["platform"] == found["platform"])]
            if len(trail)
            else trail
        )
        history = [
            [
                safe.number(each["attempt"]),
                each["outcome"],
                each["error_code"],
                each["reason"],
                text_of(each["last_sent_at"], column_named("last_sent_at"), self._tz),
            ]
            for each in tried.to_dict("records")
        ]
        said = ": ".join(filter(None, (_text(found.get(name)) for name in ("error_code", "error_message"))))
        return [
            document.heading(found["verdict"], found.get("remedy")),
            document.note(said, bad=True) if said else None,
            None
            if found["verdict"] == Verdict.FIX_CONTENT
            else document.preformatted("Text", _text(found.get("content"))),
            self._form(found),
            document.picture(picture) if picture else None,
            document.link(found.get("platform_post_url"), "Open the post")
            if _there(found.get("platform_post_url"))
            else None,
            document.pairs((name.replace("_", " "), full_text(value, self._tz)) for name, value in known.items()),
            document.table(
                [document.column("attempt", right=True), "outcome", "error", "reason", safe.zoned("sent", self._tz)],
                history,
            )
            if history
            else None,
        ]

    def _form(self, found: Mapping[str, Any]) -> Block | None:
        """Return the fields that mend a row, where a person can: its text, its picture."""
        if found["verdict"] == Verdict.FIX_CONTENT:
            fields = [("new_content", "New text", _text(found.get("content")))]
        elif found["verdict"] == Verdict.FIX_MEDIA:
            fields = [("new_media_url", "Address of another picture or video", "")]
        else:
            return None
        return document.form("mend", "Plan this fix", fields)

    def _choice(self) -> RowFilter:
        """Return the facets and days as a filter for the code."""
        values = {name: tuple(wanted) for name, wanted in self._wanted().items()}
        match self._live.view.get("days"):
            case [str(first), str(last)] if (begin := _day(first)) and (end := _day(last)):
                return RowFilter(values, "updated_at", (begin, end), self._tz)
        return RowFilter(values)

    def code(self) -> str:
        """Return the code that gives the same plan with the same keys, in any kernel.

        Returns
        -------
        str
            Python. Its first lines connect, load the frame as it was loaded, and repeat the changes made by hand. The code lists the
            chosen rows if the frame was filtered. A frame that was put together by hand can't be loaded again: the code has ``...``
            in its place. Rows that a run of this panel tried come from that run; other rows, which it may have changed, from `frame`.
        """
        fixed = [f"chosen = chosen.assign({name}={quoted(text)})" for name, text in self._fixed.items()]
        planned = self._runner.code("plan_fix" if fixed else "plan_retry", "chosen")
        return "\n".join([*opening(self._ws), *self._code_lines(), *fixed, *planned]) + "\n"

    def _lines_for(self, chosen: pd.DataFrame | None) -> list[str]:
        if chosen is None:
            chosen = self._failed[self._choice().mask(self._failed)]
        return self._code_after_runs(chosen) if self._runs else self._code_of(chosen)

    def _code_after_runs(self, chosen: pd.DataFrame) -> list[str]:
        """Return code that chooses the same rows after a run of this panel has changed them."""
        last = self._runs[-1]
        keys, tried = _keys(chosen), _keys(last.failed())
        if len(keys) and keys.isin(set(tried)).all():
            name = f"ws.attach({last.id!r}).failed()"
            return [f"failed = {name}", *only_code("chosen", "failed", TARGET_KEY, chosen)]
        start = "triaged = ...  # the frame that the panel shows since its run: panel.frame"
        return [start, *only_code("chosen", "triaged", TARGET_KEY, chosen)]

    def _code_of(self, chosen: pd.DataFrame) -> list[str]:
        """Return code that loads the frame again and chooses some of its failures."""
        call = self._load_call()
        if call is None:
            start = [f"triaged = {self._origin}  # the frame that was passed to the panel"]
        else:
            start = [f"triaged = vx.triage(vx.targets({call}))", *self._changes]
            if not self._is_whole:
                return [*start, *only_code("chosen", "triaged", TARGET_KEY, chosen)]
        choice = self._choice().covering(self._failed, _keys(self._failed).isin(set(_keys(chosen))))
        kept = self._failed[choice.mask(self._failed)]
        mine = _keys(kept).isin(set(_keys(chosen)))
        return [
            *start,
            'chosen = triaged[triaged["cause"].notna()]',
            *choice.code("chosen"),
            *rows_code("chosen", TARGET_KEY, kept[mine], kept[~mine]),
        ]

    def _load_call(self) -> str | None:
        """Return the call that loads the frame again; None if there is none."""
        if not set(NEEDED) <= set(self._triaged.columns):
            return None
        failed = self._triaged[self._triaged["cause"].notna()]
        latest = failed[[name for name in _MOMENTS if name in failed.columns]].max().max()
        return load_code({str(name): value for name, value in self._attrs.items()}, "posts", latest)

    @cached_property
    def _changes(self) -> list[str]:
        """Code for what the default rules do not give: the analyst's own rules, and cells changed by hand."""
        failed = self._triaged[self._triaged["cause"].notna()]
        judged = self._triaged if self._is_whole else failed
        columns = [name for name in _JUDGED if name in judged.columns]
        derived = triage(judged.drop(columns=columns))[columns]
        if "attempt" not in judged.columns:
            return changes_code("triaged", TARGET_KEY, judged, derived)
        judged, derived = judged.assign(attempt=judged["attempt"].fillna(1)), derived.assign(attempt=1)
        return ['triaged["attempt"] = 1', *changes_code("triaged", TARGET_KEY, judged, derived)]

    @cached_property
    def _is_whole(self) -> bool:
        """Whether the frame has all loaded rows: pandas keeps attrs in a selection, so they alone do not tell."""
        attrs, rows = self._attrs, self._triaged
        if attrs.get("complete") is not True or attrs.get("rows") != rows["post_id"].nunique():
            return False
        opened = sum(map(sum, json.loads(attrs.get("open_targets") or "{}").values()))
        return bool(opened == rows["status"].isin({"failed", *IN_FLIGHT_STATUSES}).sum())


def cause_blocks(rows: pd.DataFrame, rest: str) -> list[Block]:
    """Return the causes with a bar by platform, the count, and what to do; show `rest` if nothing failed."""
    if rows.empty:
        return [document.note(rest)]
    table = causes(rows)
    highest = int(table["count"].max())
    each = ["cause", "verdict", "remedy"]
    by = dict(iter(rows["platform"].astype("string").fillna("–").groupby([rows[name].astype(str) for name in each])))
    lines = []
    for entry in table.head(_CAUSES).to_dict("records"):
        ranked = by[tuple(str(entry[name]) for name in each)].value_counts()
        bar = [document.part(name, look(PLATFORM, name).colour, int(count)) for name, count in ranked.items()]
        kind = look(VERDICT, entry["verdict"])
        width = max(4, round(100 * entry["count"] / highest))
        lines.append(
            [
                document.cell(entry["cause"], bar=bar, width=width, picks="cause"),
                document.cell(safe.number(entry["count"]), strong=True),
                document.cell(entry["verdict"], colour=kind.colour, glyph=kind.glyph, below=entry["remedy"]),
            ]
        )
    counts = rows["platform"].astype("string").fillna("–").value_counts()
    legend = [document.part(name, look(PLATFORM, name).colour, int(count)) for name, count in counts.items()]
    heads = [*document.counted("cause, by platform", "targets"), "verdict and what to do"]
    shown = [document.table(heads, lines), document.bar(legend)]
    more = len(table) - _CAUSES
    return [*shown, document.line(f"and {safe.many(more, 'rarer cause')}")] if more > 0 else shown


def _keys(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return the row keys, as tuples."""
    rows = frame[list(TARGET_KEY)].fillna("").astype(str).itertuples(index=False, name=None)
    return pd.Series(list(rows), index=frame.index, dtype=object)


def _day(text: str) -> date | None:
    """Return the day that a page sent; None if it is not a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _there(value: object) -> bool:
    """Whether a value is a text and not empty."""
    return isinstance(value, str) and bool(value)


def _text(value: object) -> str:
    """Return a text, ``""`` if there is none."""
    return value if isinstance(value, str) else ""
