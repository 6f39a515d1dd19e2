"""What became of a run's rows: those that failed, fit to be planned again, and what the server shows of all of them now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops.acts import act_named
from voxops.acts.act import blocked as held
from voxops.acts.plan import PLAN_TYPES, RESULT_TYPES, Plan
from voxops.api.limits import SKEW
from voxops.api.reasons import NEED_NOBODY, Reason
from voxops.api.states import PostState
from voxops.engine.read import note_posts
from voxops.errors import PlanError
from voxops.frames.checks import plain_values
from voxops.frames.records import build, read_posts
from voxops.frames.schemas import records_of
from voxops.frames.times import parse_times
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger
from voxops.model import Outcome
from voxops.sheets.files import Layout

if TYPE_CHECKING:
    from voxops.engine.engine import Engine

_ERRORS = ("error_code", "error_message")
# Columns of a row that was mended before.
_OURS = frozenset({*PLAN_TYPES, "outcome", *_ERRORS}) - {"attempt"}
_SKIPPED = "SKIPPED"  # the API's own word that it will not try a target again
_AT_ONCE = 20  # single reads


def failed_rows(
    ledger: Ledger, run: str, table: pd.DataFrame, *, stuck_before: float | None = None, blocked: bool = False
) -> pd.DataFrame:
    """The failed rows of a run's results, as the readings that settled them showed them, as their next attempt.

    With `stuck_before` (server time) also the rows whose act was accepted before it and has not ended: planned again they give that
    act up (rule 13). With `blocked` also the blocked rows, as the attempt that they are.
    """
    act = act_named(ledger.runs.head(run).action)
    kept = set[int]() if stuck_before is None else audit.stuck_rows(ledger, run, stuck_before)
    outcomes = table["outcome"].to_list()
    kept |= {place for place, outcome in enumerate(outcomes) if blocked and outcome == Outcome.BLOCKED}
    places = [place for place, outcome in enumerate(outcomes) if outcome == Outcome.FAILED or place in kept]
    seen = states = _newest(table, audit.seen_states(ledger, run))
    if act.keeps_old_errors:
        states = _with_errors(table, audit.planned_rows(ledger, run), states)
    rows, states = table.iloc[places], [states[place] for place in places]
    # A new episode starts at one in everybody's ledger (rule 8); a refused act has begun none, and nothing was seen.
    attempts = [
        attempt
        if outcome == Outcome.BLOCKED
        else 1
        if not act.creates and place not in kept and seen[place]
        else attempt + 1
        for place, outcome, attempt in zip(places, rows["outcome"], rows["attempt"], strict=True)
    ]
    extra = {*PLAN_TYPES, *RESULT_TYPES} - {"attempt", *_ERRORS}
    rows = rows.drop(columns=list(extra), errors="ignore").assign(attempt=pd.array(attempts, dtype="Int64"))
    rows.attrs = {name: value for name, value in table.attrs.items() if name != "open_targets"}
    if "post_id" in rows.columns:
        opened = {post: state["open"] for post, state in zip(rows["post_id"], states, strict=True) if "open" in state}
        rows.attrs["open_targets"] = json.dumps(opened)
    for name in {name for state in states for name in state} & set(rows.columns):
        now = [state.get(name, old) for state, old in zip(states, rows[name], strict=True)]
        rows[name] = _like(now, rows[name])
    table = act.failed_rows(rows, [place in kept for place in places])
    assert isinstance(table, pd.DataFrame)
    return table


def rows_to_mend(ledger: Ledger, run: str, results: pd.DataFrame, stuck_before: float) -> pd.DataFrame:
    """The rows of a run that are not there and that nobody works on, the reason of each first, then the columns of their sheet.

    Parameters
    ----------
    ledger, run : Ledger, str
        The run; of its rows that are not eligible those that need somebody are among them.
    results : pandas.DataFrame
        Its results.
    stuck_before : float
        As for `failed_rows`.
    """
    plan, numbers = audit.plan_of(ledger, run), [row.row for row in ledger.runs.rows(run)]
    results = results.set_axis(numbers)  # of one reading of the ledger: a row may settle in between
    again = failed_rows(ledger, run, results, stuck_before=stuck_before, blocked=True)
    planned, labels = plan.table.reset_index(drop=True), plan.table.index
    never = planned[~planned["eligible"].astype(bool) & ~planned["reason_code"].isin(NEED_NOBODY)]
    if plan.key:  # a row that the sheet has no more can't be mended in it
        gone = (
            planned[plan.key].isna() | planned["act"].eq("withdraw") | planned["reason_code"].eq("withdraw_not_asked")
        )
        again, never = (frame[~gone.fillna(value=False)[frame.index]] for frame in (again, never))
    ended = results.loc[again.index]
    why = ended["error_message"].fillna(ended["error_code"]).fillna(ended["waiting_for"])
    first: dict[str, list[Any]] = {
        "reason": [*why.map(_sentence, na_action="ignore"), *never["reason"].map(_sentence)],
        "reason_code": [*ended["error_code"].fillna(ended["reason_code"]), *never["reason_code"]],
        "outcome": [*ended["outcome"], *[Outcome.BLOCKED] * len(never)],
    }
    rows = (
        pd.concat([again, never.drop(columns=[*_OURS - {*_ERRORS}], errors="ignore")]) if len(never) else again.copy()
    )
    attempts = rows["attempt"]
    if plan.key:
        own = planned.loc[rows.index].drop(columns=[*_OURS], errors="ignore")
        if plan.act.parts:  # a sync adds what the posts show
            own = own.loc[:, ~own.columns.str.fullmatch("post_id|status|(?:now|new)_.*")]
        its = [name for name in Layout.of(plan.table).names() if name in own.columns]
        more = [
            name for name in own.columns if name not in {*its, "attempt"} and (not len(own) or own[name].notna().any())
        ]
        rows = own[[*its, *more]]
        if "attempt" in its or bool((attempts > 1).any()):
            rows = rows.assign(attempt=attempts.array)
        if "campaign" not in rows.columns and plan.campaign:
            rows = rows.assign(campaign=pd.array([plan.campaign] * len(rows), dtype="string"))
    for place, (name, values) in enumerate(first.items()):
        rows.insert(place, name, pd.Series(values, index=rows.index, dtype="string"))
    rows = rows.sort_index()
    rows.index, rows.attrs = labels[rows.index], again.attrs
    return rows


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


async def copies(engine: Engine, run: str) -> pd.DataFrame:
    """The duplicates of what a run created, read as they are now, each with the post to keep, which is read as well (rule 19)."""
    ledger = engine.ledger
    items = [request.item for request in ledger.requests.of_run(run).values()]
    await engine.reads.refresh([item for item in items if item.creates])
    await engine.reads.listing()
    before = audit.copies_of(ledger, run)
    await engine.reads.posts({post for copy in before for post in (copy.keep, *copy.others)})
    records, rows = [], []
    for copy in audit.copies_of(ledger, run):
        for post_id in copy.others:
            single = await engine.reads.reader.single(post_id)
            if single is not None:  # else somebody has deleted it in between
                records.append(single[0])
                rows.append((copy.label, copy.keep))
    frame = build("posts", records, fetched_at=engine.client.now().isoformat())
    return frame.assign(
        row=pd.array([label for label, _ in rows], dtype="string"),
        copy_of=pd.array([keep for _, keep in rows], dtype="string"),
    )


async def made(engine: Engine, run: str) -> pd.DataFrame:
    """The posts that the creates of a run created, read as they are now.

    ``attrs["open_rows"]`` has label, identity and attempt of the rows that were sent and have not ended, or whose post is not shown yet.
    ``attrs["unsent_rows"]`` names those that were never sent, or are proved not to have been created.

    Raises
    ------
    PlanError
        If the run has no creates.
    """
    ledger, client = engine.ledger, engine.client
    act = act_named(ledger.runs.head(run).action)
    if not (act.creates or "create" in act.parts):
        raise PlanError(f"{run} created no posts: it is a run to {act.verb}; pass a run of vx.plan_create")
    rows = ledger.runs.rows(run)
    requested = ledger.requests.get(row.request for row in rows if row.request is not None)
    requests = {number: request for number, request in requested.items() if request.item.creates}
    labels = {request.result_id: request.item.label for request in requests.values() if request.result_id is not None}
    asked = dict(zip((row.request for row in rows), audit.planned_rows(ledger, run)["attempt"], strict=True))
    # What a later attempt has created is that one's: a run whose rows were planned as an earlier one has only found it.
    ours = ledger.runs.created(run) - {
        request.result_id for request in requests.values() if request.asked > asked[request.id]
    }
    records = await _read_now(engine, labels)
    deleted = {post for post, seen in ledger.seen.of_posts(labels).items() if seen.status == "deleted"}
    hidden = {post for post, record in records.items() if record is None} - deleted  # reads may lag
    shown = [record for record in records.values() if record is not None]
    frame = build("posts", shown, fetched_at=client.now().isoformat())
    frame.attrs["open_rows"] = [
        [request.item.label, request.item.identity, request.item.attempt]
        for request in requests.values()
        if request.call is not None or request.result_id in hidden
    ]
    frame.attrs["unsent_rows"] = [
        request.item.label for request in requests.values() if request.call is None and not request.outcome.final
    ]
    return frame.assign(
        row=pd.array([labels[post] for post in frame["post_id"]], dtype="string"),
        created_by_run=pd.array([post in ours for post in frame["post_id"]], dtype="boolean"),
    )


async def _read_now(engine: Engine, posts: Collection[str]) -> dict[str, Any]:
    """Read posts as the API shows them now, None for one that does not exist; one that is known to be deleted may be left out."""
    client, ledger, reader = engine.client, engine.ledger, engine.reads.reader
    began, seen = client.now(), ledger.seen.of_posts(posts)
    created = [before.created for before in seen.values() if before.created]
    oldest = datetime.fromisoformat(min(created)) - timedelta(seconds=SKEW) if created else began
    records: dict[str, Any] = {}
    states: dict[str, PostState | None] = {}
    left = set(posts)
    if left:
        async for page in client.posts.list(status="all").pages():
            hits = records_of("posts", left, page.records)
            records |= hits
            states |= read_posts([*hits.values()])
            left.difference_update(hits)
            times = [state.created_at for state in read_posts(page.records[:1]).values() if state.created_at]
            if not left or any(datetime.fromisoformat(time) < oldest for time in times):
                break
    alone = sorted(left - {post for post, before in seen.items() if before.status == "deleted"})
    for begin in range(0, len(alone), _AT_ONCE):
        batch = alone[begin : begin + _AT_ONCE]
        for post, single in zip(batch, await asyncio.gather(*map(reader.single, batch)), strict=True):
            records[post], states[post] = single or (None, None)
    await engine.commit(lambda: note_posts(ledger, states, began.timestamp()))
    return records


def abandon(ledger: Ledger, run: str) -> None:
    """Abandon what a run never sent, until a plan wants it again."""
    requests = ledger.requests.of_run(run).values()
    unsent = [request for request in requests if request.is_unsent]
    ledger.requests.say([held(request, Reason("cancelled")) for request in unsent])
    ledger.runs.note(run, paused=True)


def replanned(ledger: Ledger, run: str) -> Plan | None:
    """A plan of the next attempt at what failed; None where the act knows none."""
    head = ledger.runs.head(run)
    plan = act_named(head.action).replan(
        failed_rows(ledger, run, audit.results(ledger, run)), key=head.key_column, campaign=head.campaign
    )
    return plan if isinstance(plan, Plan) else None


def _newest(table: pd.DataFrame, states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row's state, with what belongs to its post from whichever of the post's rows was settled last."""
    if "post_id" not in table.columns:
        return states
    last: dict[Any, dict[str, Any]] = {}
    for post, state in zip(table["post_id"], states, strict=True):
        if state and (post not in last or str(state.get("updated_at")) > str(last[post].get("updated_at"))):
            last[post] = {name: value for name, value in state.items() if name not in {"status", *_ERRORS}}
    return [state | last.get(post, {}) for post, state in zip(table["post_id"], states, strict=True)]


def _with_errors(table: pd.DataFrame, planned: pd.DataFrame, states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row's state with the error that decides what comes next.

    A refused act changed nothing, so its target still shows its old error. What the API left out keeps the API's word: by the old
    error it would be planned again, and be left out again each time.
    """
    old = zip(*(plain_values(planned, name) for name in _ERRORS), strict=True)
    new = zip(*(plain_values(table, name) for name in _ERRORS), strict=True)
    return [
        dict(zip(_ERRORS, before, strict=True))
        | state
        | (dict(zip(_ERRORS, now, strict=True)) if now[0] == _SKIPPED else {})
        for before, now, state in zip(old, new, states, strict=True)
    ]


def _like(values: Sequence[Any], column: pd.Series) -> Any:
    """Values as an array of the column's dtype; times as ISO text are read."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return parse_times([None if value is None or value is pd.NaT else str(value) for value in values])
    cells: list[Any] = [pd.NA if value is None else value for value in values]
    return pd.Series(cells, dtype=column.dtype).array
