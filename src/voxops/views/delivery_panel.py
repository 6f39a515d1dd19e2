"""The delivery panel: the webhook delivery history, and redelivery of what a person has chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from voxops import deliveries
from voxops._support import document, safe
from voxops._support.document import Block
from voxops._support.safe import redact_address, redact_addresses, short_address
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.analysis.statistics import delivery_state, span_start
from voxops.frames.checks import need, restored
from voxops.frames.palette import OUTCOME, STATUS, Look
from voxops.frames.table import full_text, short_time, without_addresses
from voxops.frames.times import shown_zone
from voxops.views._display import Button, Tab
from voxops.views._panel_base import Panel, opening
from voxops.views._protocols import RunLike, WorkspaceLike
from voxops.views._row_filter import RowFilter, load_code, only_code, rows_code
from voxops.views._rows import RowTable, grid_columns

__all__ = ["DeliveryPanel"]

_WINDOWS = (("24 hours", "24h"), ("3 days", "3D"), ("7 days", "7D"), ("30 days", "30D"))
_RESULT = {"succeeded": "succeeded", "failed": "failed", "in flight": "pending"}  # as outcomes are called
_COLUMNS = ("success", "event_type", "status_code", "url", "error", "created_at")
_HIDDEN = ("delivery_id", "latency_ms", "retry_count", "response_body")
_CODED = ("event_type",)  # facets that the code filters by value; rows chosen otherwise are listed
_KNOWN = (
    *("delivery_id", "webhook_id", "event_type", "url", "status_code", "latency_ms", "retry_count"),
    *("created_at", "delivered_at"),
)
_TIMES = ("created_at", "delivered_at")
_NEEDED = (*dict.fromkeys((*_KNOWN, *_COLUMNS, *_HIDDEN)),)


class DeliveryPanel(Panel):
    """Look at webhook deliveries and redeliver failed ones; returned by ``ws.panel(log)``."""

    TITLE, ROWS = "Webhook deliveries", "Deliveries"

    def __init__(self, ws: WorkspaceLike, log: pd.DataFrame) -> None:
        super().__init__(ws)
        log = need(
            restored(log), _NEEDED, "ws.panel() needs deliveries", "Use ws.deliveries(...).", times=_TIMES
        ).reset_index(drop=True)
        self._webhook, self._window, self._windows = "", *_window_of(log)
        self._read = (self._webhook, self._window)  # of the rows shown
        self._unseen = True  # no failure has been shown yet
        self._webhooks: list[tuple[str, str]] = [("all webhooks", "")]
        self._take(log, chosen=True)
        self._tasks.submit(self._begin)

    async def _begin(self) -> None:
        """Load the webhooks, to choose from."""
        hooks = await self._ws.aio.webhooks()
        named = [
            (safe.middle(short_address(row["url"]), 60), str(row["webhook_id"])) for row in hooks.to_dict("records")
        ]
        self._webhooks = [("all webhooks", ""), *named]
        self._changed(True)

    async def _load(self, *, chosen: bool = True) -> None:
        """Load the deliveries of the webhook and time span shown, after a choice of a page or a run."""
        known = {value: f"of the last {words}" for words, value in _WINDOWS}
        self._busy = f"Reading the deliveries {known.get(self._window, 'again')} …"
        self._changed(True)
        asked = self._webhook, self._window
        try:
            log = await self._ws.aio.deliveries(webhook=self._webhook or None, since=self._window or None)
            await self._tasks.in_thread(lambda: self._take(log, chosen))
            self._read = asked
        finally:
            # The lists name the rows shown, also if loading others failed.
            if asked == (self._webhook, self._window):
                self._webhook, self._window = self._read
            self._busy = ""
            self._changed(True)

    def _take(self, log: pd.DataFrame, chosen: bool) -> None:
        """Show loaded deliveries; the first time that some have failed, only those."""
        self._runner.forget(rows=not chosen)
        self._log = log
        clean = without_addresses(log)
        words = {
            "success": delivery_state(log).map(_RESULT).astype(object),
            "status_code": log["status_code"].astype("string").radd("HTTP "),
            "url": clean["url"].map(short_address, na_action="ignore"),
            "error": clean["error"],
            "response_body": clean["response_body"],
        }
        narrow = self._unseen and bool((words["success"] == "failed").any())
        self._unseen = self._unseen and not narrow
        columns = grid_columns(log, _COLUMNS, words, hidden=_HIDDEN, titles={"success": "result", "url": "endpoint"})
        failed = log["success"].eq(False).fillna(False).reset_index(drop=True)
        self._set_rows(RowTable(log, columns, words, failed), {"facets": {"success": ["failed"]}} if narrow else None)

    def _heard(self, message: Mapping[str, Any]) -> None:
        """Load again, or another webhook or time span."""
        name, value = message.get("name"), str(message.get("value"))
        if message["do"] == "reload":
            self._tasks.submit(self._load)
        elif message["do"] == "select" and name == "webhook" and value in {each for _, each in self._webhooks}:
            self._webhook = value
            self._tasks.submit(self._load)
        elif message["do"] == "select" and name == "window" and value in {each for _, each in self._windows}:
            self._window = value
            self._tasks.submit(self._load)

    def _selects(self) -> Sequence[Mapping[str, Any]]:
        return (
            {"name": "webhook", "label": "Webhook", "options": self._webhooks, "value": self._webhook},
            {"name": "window", "label": "Window", "options": self._windows, "value": self._window},
        )

    def _buttons(self) -> Sequence[Button]:
        return [Button("reload", "Load again", "Read the delivery history again"), *super()._buttons()]

    def _options(self) -> Sequence[Mapping[str, Any]]:
        return ({"name": "force", "label": "also rejected, delivered, or under an hour old"},)

    def _looks(self) -> Mapping[str, Mapping[str, Look]]:
        return {"success": OUTCOME}

    def _say(self) -> str:
        read = self._log.attrs.get("fetched_at")
        when = f", read {safe.instant(pd.Timestamp(read).to_pydatetime(), tz=shown_zone(self._log))}" if read else ""
        return f"{safe.many(len(self._log), 'delivery', 'deliveries')}{when}"

    def _facts(self) -> Sequence[Block]:
        if self._log.empty:
            return [document.line(self._say()), document.note("No deliveries in this window.")]
        row = deliveries.stats(self._log).iloc[0]
        rate = "–" if pd.isna(row["success_rate"]) else safe.percent(row["success_rate"])
        good, bad, open_, time = OUTCOME["succeeded"], OUTCOME["failed"], OUTCOME["pending"], STATUS["scheduled"]
        return [
            document.line(self._say()),
            document.facts(
                [
                    (rate, f"delivered, of {int(row['deliveries']):,}", good.colour, good.glyph),
                    (int(row["failed"]), "failed", bad.colour, bad.glyph),
                    (int(row["in_flight"]), "in flight", open_.colour, open_.glyph),
                    (
                        f"{safe.number(row['p50_ms'])} ms",
                        f"half were faster; 95 % within {safe.number(row['p95_ms'])} ms",
                        time.colour,
                        time.glyph,
                    ),
                ]
            ),
        ]

    def _tabs(self) -> Sequence[Tab]:
        if self._log.empty:
            return ()
        span = "hour" if self._window in {"24h", "3D"} else "day"
        return [Tab("causes", "Over time", [_series(self._log, span), _answers(self._log)])]

    def _plan_of(self, chosen: pd.DataFrame, form: Mapping[str, Any]) -> Plan:
        return plan_redeliver(chosen, force=bool(form.get("force")))

    def _plan_failed(self, failed: pd.DataFrame) -> Plan:
        return plan_redeliver(failed)

    def _ended(self, run: RunLike) -> None:  # noqa: ARG002  every panel learns which run it is
        """Load the deliveries again."""
        self._tasks.submit(lambda: self._load(chosen=False))

    def _details(self, row: int) -> Sequence[Block | None]:
        assert self._rows is not None
        log = self._rows.frame
        found = {str(name): value for name, value in log.iloc[row].items()}
        known = {name: found.get(name) for name in _KNOWN} | {"url": redact_address(found.get("url"))}
        tz = shown_zone(log)
        known["result"] = _RESULT[str(delivery_state(log.iloc[[row]]).iloc[0])]
        said = [
            redact_addresses(found[name]) if isinstance(found.get(name), str) else ""
            for name in ("error", "response_body")
        ]
        return [
            document.heading("Delivery", found.get("delivery_id")),
            document.note(said[0], bad=True) if said[0] else None,
            document.pairs((name.replace("_", " "), full_text(value, tz)) for name, value in known.items()),
            document.preformatted("Answer", said[1]) if said[1] else None,
        ]

    def code(self) -> str:
        """Return the code that gives the same plan with the same keys, in any kernel.

        The code lists the chosen rows if the log was filtered. A frame that was put together by hand can't be loaded again: the
        code has ``...`` in its place.
        """
        force = self._runner.form.get("force")
        planned = self._runner.code("plan_redeliver", "chosen, force=True" if force else "chosen")
        return "\n".join([*opening(self._ws), *self._code_lines(), *planned]) + "\n"

    def _lines_for(self, chosen: pd.DataFrame | None) -> list[str]:
        if chosen is None:
            chosen = self._log[self._left()]
        latest = chosen["created_at"].max() if len(chosen) else None
        attrs = {str(name): value for name, value in self._log.attrs.items()}
        call = load_code(attrs, "deliveries", latest)
        if call is None:
            lines = ["log = ...  # the deliveries that were passed to the panel", "chosen = log"]
        elif attrs.get("complete") is not True or attrs.get("rows") != len(
            self._log
        ):  # pandas keeps attrs in a selection
            return [f"log = {call}", *only_code("chosen", "log", ("delivery_id",), chosen)]
        else:
            lines = [f"log = {call}", "chosen = log"]
        wanted = self._wanted()
        choice = RowFilter({name: tuple(wanted[name]) for name in _CODED if name in wanted})
        choice = choice.covering(self._log, self._log["delivery_id"].isin(set(chosen["delivery_id"])))
        kept = self._log[choice.mask(self._log)]
        lines += choice.code("chosen")
        failed = kept["success"].eq(False).fillna(False).astype(bool)
        if not chosen["success"].fillna(True).astype(bool).any():
            lines.append('chosen = chosen[chosen["success"].eq(False).fillna(False).astype(bool)]')
            kept = kept[failed]
        mine = kept["delivery_id"].isin(set(chosen["delivery_id"]))
        return lines + rows_code("chosen", ("delivery_id",), kept[mine], kept[~mine])


def _window_of(log: pd.DataFrame) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the span of the log and the spans to choose from; the log's comes first if it is not a usual one."""
    filters = log.attrs.get("filters")
    since = filters.get("since") if isinstance(filters, Mapping) and filters.get("until") is None else None
    if since in {value for _, value in _WINDOWS}:
        return str(since), _WINDOWS
    first = log["created_at"].min()
    mine = "" if pd.isna(first) else first.isoformat()
    return mine, (("as passed", mine), *_WINDOWS)


def _series(log: pd.DataFrame, span: str) -> Block:
    """Return deliveries over time, delivered and failed."""
    tz = shown_zone(log)
    table = deliveries.stats(log, by=span, tz=tz).dropna(subset=[span]).set_index(span)
    if table.empty:
        return document.line("No delivery shows when it was created.")
    # Steps of half an hour, since clocks may change by that, and a day may begin at one o'clock.
    steps = pd.date_range(table.index.min(), table.index.max(), freq="30min").to_series()
    index = pd.DatetimeIndex(span_start(steps, span, tz).unique())
    table = table.reindex(index)
    names = ("succeeded", "failed")
    counts = table[list(names)].fillna(0).astype(int).to_numpy().tolist()
    series = [document.part(name, OUTCOME[name].colour, 0, OUTCOME[name].glyph) for name in names]
    return document.chart(
        safe.zoned(f"deliveries per {span}", tz),
        series,
        [f"{at:%d %b}" if span == "day" else f"{at:%d %b %H:%M}" for at in index],
        counts,
    )


def _answers(log: pd.DataFrame) -> Block:
    """Return the failed deliveries by HTTP status or error, with the endpoints hit."""
    failed = log[delivery_state(log) == "failed"]
    if failed.empty:
        return document.line("No delivery failed.")
    said = failed["status_code"].astype("string").radd("HTTP ")
    errors = without_addresses(failed, ["error"])["error"]
    kind = said.where(failed["status_code"].notna(), errors).fillna("no answer")
    counts = failed.groupby(kind).size().sort_values(ascending=False, kind="stable")
    look, highest, tz = OUTCOME["failed"], int(counts.max()), shown_zone(log)
    rows = []
    for name, count in list(counts.items())[:10]:
        part = failed[(kind == name).to_numpy(bool)]
        bar = [document.part(name, look.colour, int(count))]
        latest = part["created_at"].max()
        seen = "–" if pd.isna(latest) else short_time(latest, tz)
        width = max(4, round(100 * count / highest))
        rows.append(
            [document.cell(name, bar=bar, width=width), safe.number(count), safe.number(part["url"].nunique()), seen]
        )
    heads = [*document.counted("answer", "failed", "endpoints"), safe.zoned("last seen", tz)]
    return document.table(heads, rows)
