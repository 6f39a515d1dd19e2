"""Frames of the ledger: a run's rows with their outcomes, all runs, and the audit trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd

from voxops._support import canonical
from voxops.acts import act_named, keys
from voxops.acts.act import Request, Subject
from voxops.acts.plan import PLAN_TYPES, RESULT_TYPES, Plan
from voxops.acts.posts import Marked, created_twice
from voxops.api.error_bodies import read_answer
from voxops.api.limits import CLOCKS_DIFFER
from voxops.api.reasons import Reason, read_reason
from voxops.errors import LedgerError
from voxops.frames.checks import restore, table_of
from voxops.frames.times import TIME_DTYPE, parse_times
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Seen, read_item
from voxops.ledger.requests import NOW
from voxops.ledger.store import some
from voxops.model import OUTCOMES, WITHDRAWN_STATUSES, Transition

SETTLED = frozenset({"succeeded", "failed"})
UNSENT = Reason("unsent")

# Rows of runs with their requests and open calls; and the last call that carried a request.
_ROWS = """run_rows LEFT JOIN requests ON requests.id = run_rows.request
           LEFT JOIN calls ON calls.id = requests.call"""
_LAST = "LEFT JOIN calls AS last ON last.id = (SELECT max(call) FROM call_rows WHERE call_rows.request = requests.id)"
_OUTCOME = f"CASE WHEN run_rows.reason <> '' OR requests.id IS NULL THEN 'blocked' ELSE {NOW} END"
_WHY = "coalesce(nullif(run_rows.reason, ''), nullif(requests.reason, ''), nullif(calls.reason, ''), calls.state, '')"
# The same of a run's rows: `:stopped` is why none is sent, else each waits for its own reason, or for `:unsent`.
_WHY_IN_RUN = f"""CASE WHEN run_rows.reason <> '' OR requests.outcome <> '' OR requests.blocked OR requests.call IS NOT NULL THEN {_WHY}
                       ELSE coalesce(nullif(:stopped, ''), nullif({_WHY}, ''), :unsent) END"""
_WITHDRAWN = "run_rows.reason = '' AND requests.outcome = 'succeeded' AND requests.mark IS NOT NULL AND seen.status IN ({})".format(
    ", ".join(map(repr, sorted(WITHDRAWN_STATUSES | {"deleted"})))
)


# A later request about the same row, or the same target, has succeeded.
_MENDED = """EXISTS (SELECT 1 FROM requests AS later WHERE later.label = requests.label AND later.id > requests.id
             AND later.campaign = requests.campaign AND later.platform = requests.platform AND later.outcome = 'succeeded'
             AND json_extract(later.item, '$.account') IS json_extract(requests.item, '$.account'))"""


class Tally(NamedTuple):
    """How far a run is: rows by platform and outcome, why others wait, and how many need no action.

    `withdrawn` rows have posts that were withdrawn or deleted since; those `at_rest` are blocked by that, or `abandoned` on purpose.
    """

    counts: Counter[tuple[str, str]]
    waits: list[tuple[Reason, int]]
    withdrawn: int = 0
    abandoned: int = 0
    at_rest: int = 0


def tally(ledger: Ledger, run: str, unsent: Reason = UNSENT) -> Tally:
    """How far a run is; `unsent` is the reason of unsent rows that have no other."""
    rows = ledger.query(
        f"""SELECT coalesce(requests.platform, ''), {_OUTCOME}, {_WHY_IN_RUN}, {_WITHDRAWN}, count(*)
            FROM {_ROWS} LEFT JOIN seen ON seen.post_id = requests.result_id WHERE run_rows.run = :run GROUP BY 1, 2, 3, 4""",
        run=run,
        stopped=_stopped(ledger, run),
        unsent=unsent.stored(),
    )
    counts, waits, gone = Counter[tuple[str, str]](), Counter[str](), 0
    for platform, outcome, why, is_gone, count in rows:
        counts[platform, outcome] += count
        gone += count if is_gone else 0
        if outcome not in SETTLED:
            waits[why] += count
    reasons = [(_why(text), count) for text, count in waits.items()]
    codes = Counter[str]()
    for reason, count in reasons:
        codes[reason.code] += count
    withdrawn, abandoned = codes["withdrawn_since"], codes["cancelled"] + codes["undone"]
    return Tally(counts, reasons, gone + withdrawn, abandoned, withdrawn + abandoned)


def acts(ledger: Ledger, run: str) -> int:
    """How many acts were sent for a run, by whichever process; one that is sent again counts again."""
    rows = ledger.query(
        """SELECT coalesce(sum(tries), 0) FROM calls WHERE by_run = :run AND id IN (
             SELECT call FROM call_rows JOIN run_rows ON run_rows.request = call_rows.request WHERE run = :run)""",
        run=run,
    )
    return int(rows[0][0])


def in_flight(ledger: Ledger, run: str) -> tuple[str, ...]:
    """The rows of a run whose requests are in flight."""
    rows = ledger.query(
        f"SELECT requests.label FROM {_ROWS} WHERE run_rows.run = :run AND calls.state = 'sent' ORDER BY run_rows.row",
        run=run,
    )
    return tuple(label for (label,) in rows)


def moves(ledger: Ledger, run: str, since: datetime | None = None, most: int = -1) -> dict[int, Transition]:
    """Request -> how it was settled, newest first: since the run was started, and a little before an instant."""
    rows = ledger.query(
        f"""SELECT requests.id, requests.settled, requests.label, requests.platform, '', requests.outcome,
                   coalesce(requests.error_message, requests.error_code, '')
            FROM {_ROWS} WHERE run_rows.run = :run AND run_rows.reason = '' AND requests.outcome <> ''
              AND requests.settled >= max(:after, (SELECT created FROM runs WHERE id = :run))
            ORDER BY requests.settled DESC, requests.id DESC LIMIT :most""",
        run=run,
        after=0.0 if since is None else since.timestamp() - CLOCKS_DIFFER,
        most=most,
    )
    return {request: Transition(datetime.fromtimestamp(at, UTC), *words) for request, at, *words in rows}


# State of the call -> why a row waits of which nothing else is said.
_STATES = {
    "": UNSENT,
    "sent": Reason("being_sent"),
    "accepted": Reason("queued"),
    "unknown": Reason("unresolved"),
    "limited": Reason("rate_limited"),
}


@lru_cache(maxsize=4096)
def _why(text: str) -> Reason:
    """Why a row waits."""
    return _STATES.get(text) or read_reason(text)


def results(ledger: Ledger, run: str, unsent: Reason = UNSENT) -> pd.DataFrame:
    """The rows of a run, each with its outcome; `unsent` as for `tally`, so that both say why a row waits in the same words.

    Returns
    -------
    pandas.DataFrame
        One row per eligible row of the plan, in its order: the plan's columns, ``attempt batch idempotency_key request`` as they
        were sent, ``status_before`` (string: the status when it was planned), ``outcome`` (string: succeeded, failed, pending, unknown,
        blocked), ``waiting_for reason_code`` (string), ``withdrawn`` (string: status and instant; missing while the post is there),
        ``tries http_status`` (Int64), ``error_code error_message result_id`` (string), ``settled_at`` (datetime64[us, UTC]) and
        ``notice`` (string: that it may have gone out twice, or which duplicates there are). Rows of creates also have ``campaign``.
    """
    plan, _ = _planned(ledger, run)
    rows = ledger.query(
        f"""SELECT run_rows.row AS row, requests.attempt AS attempt, run_rows.chunk AS batch, last.key AS idempotency_key,
                   last.method || ' ' || last.path AS request, coalesce(last.tries, 0) AS tries, last.http_status AS http_status,
                   last.reply AS reply, last.resent AS resent, last.act AS act, {_OUTCOME} AS outcome,
                   {_WHY_IN_RUN} AS why, requests.error_code AS error_code, requests.error_message AS error_message,
                   requests.result_id AS result_id, requests.settled AS settled_at,
                   CASE WHEN {_WITHDRAWN} THEN seen.status END AS withdrawn, seen.since AS since
            FROM {_ROWS} {_LAST} LEFT JOIN seen ON seen.post_id = requests.result_id
            WHERE run_rows.run = :run ORDER BY run_rows.row""",
        run=run,
        stopped=_stopped(ledger, run),
        unsent=unsent.stored(),
    )
    head = ledger.runs.head(run)
    copies = {copy.row: copy.others for copy in copies_of(ledger, run)}
    table = plan.iloc[[row["row"] for row in rows]].copy()
    cells = [{**row, **_in_words(row, copies.get(row["row"], ()))} for row in map(dict, rows)]
    sent = _table(cells, {name: PLAN_TYPES[name] for name in ("attempt", "idempotency_key", "request")})
    sent.index = table.index
    ended = _table(cells, RESULT_TYPES)
    if "status" in table.columns:
        ended["status_before"] = table["status"].astype("string").array
    table = table.assign(
        **{str(name): column.where(column.notna(), table[name]) for name, column in sent.items()},
        **{str(name): column.array for name, column in ended.items()},
    )
    table.attrs = {**plan.attrs, "run": run}
    if head.key_column:  # what goes from cell to cell and through files names its campaign (rule 5)
        table = table.assign(campaign=pd.array([head.campaign] * len(table), dtype="string"))
        table.attrs["campaign"] = head.campaign
    return table


def _in_words(row: Mapping[str, Any], copies: Sequence[str]) -> dict[str, Any]:
    """The cells of a row in the results that people read."""
    why = None if row["outcome"] in SETTLED else _why(row["why"])
    return {
        "waiting_for": why and str(why),
        "reason_code": why and why.code,
        "withdrawn": row["withdrawn"] and f"{row['withdrawn']} {_instant(row['since']):%Y-%m-%dT%H:%M:%SZ}",
        "error_code": _error_code(row),
        "notice": _notice(row, copies),
    }


def _stopped(ledger: Ledger, run: str) -> str:
    """Why nothing of a run is sent, as the ledger keeps reasons; nothing where a kernel may send."""
    rows = ledger.query("SELECT state, note, paused FROM runs WHERE id = :run", run=run)
    state, note, paused = rows[0] if rows else ("", "", False)
    if state == "stopped":
        return Reason("stopped", said=note).stored()
    return Reason("paused").stored() if paused or state == "paused" else ""


def _error_code(row: Mapping[str, Any]) -> Any:
    """The code of a row that failed; of one that is unknown, the one in the last answer."""
    if row["error_code"] is not None or row["outcome"] != "unknown" or (row["http_status"] or 0) < 400:
        return row["error_code"]
    return _code_of(row["reply"]) or f"HTTP_{row['http_status']}"


@lru_cache(maxsize=256)
def _code_of(reply: bytes | None) -> str:
    """The API's code in an answer, whose rows share it."""
    try:
        return read_answer(canonical.decode(reply or b"null")).code
    except ValueError:
        return ""


def _notice(row: Mapping[str, Any], copies: Sequence[str]) -> str | None:
    """What a reader of the results must know besides the outcome (rules 9 and 19)."""
    notices = []
    if row["resent"] and act_named(row["act"]).about == "post" and not act_named(row["act"]).reverts:
        notices.append(
            "may have gone out twice: no answer came, no reading showed it, so it was sent again under its key"
        )
    if copies:
        notices.append(f"duplicates exist: {', '.join(copies)}; run.copies() lists them")
    return "; ".join(notices) or None


def _table(rows: Iterable[dict[str, Any]], dtypes: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of the ledger as a frame; its times are seconds since the epoch."""
    times = [name for name, dtype in dtypes.items() if dtype == TIME_DTYPE]
    return table_of([{**row, **{name: _instant(row[name]) for name in times}} for row in rows], dtypes)


def _instant(seconds: float | None) -> datetime | None:
    """Seconds since the epoch as a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


# Duplicates: rows for which more than one live post is what was requested, whoever created them (rule 19).


@dataclass(frozen=True, slots=True)
class Copy:
    """One row of a run that more than one live post was created for: the post to `keep`, and the `others`; `row` is its number."""

    row: int
    label: str
    keep: str
    others: tuple[str, ...]


def copies_of(ledger: Ledger, run: str) -> list[Copy]:
    """Rows of a run for which more than one live post shows what was requested, or what their own post shows."""
    rows = {row.request: row.row for row in ledger.runs.rows(run) if row.request is not None and row.reason is None}
    copies = [
        Copy(rows[request.id], request.item.label, keep, tuple(others))
        for request, (keep, *others) in duplicates(ledger, rows)
    ]
    return sorted(copies, key=lambda copy: copy.row)


def duplicates(ledger: Ledger, ids: Iterable[int] | None = None) -> list[tuple[Request, list[str]]]:
    """Requests, of these or of all, for which several live posts were created, each with these: the one to keep first."""
    requests = ledger.requests.duplicated(ids)
    by_mark: dict[str | None, list[Seen]] = {}
    for post in ledger.seen.of_rows([request.item.row_mark for request in requests]):
        by_mark.setdefault(post.row_mark, []).append(post)
    copies = []
    for request in requests:
        asked, shown = request.item.asked_hash, request.item.shown_hash
        posts = [
            Marked(post.post_id, post.status, post.created, post.op_mark, post.shown, post.is_as_shown(asked, shown))
            for post in by_mark.get(request.item.row_mark, ())
        ]
        copies += [(request, [keep, *others]) for keep, others in created_twice(posts)]
    return copies


def count_runs(ledger: Ledger) -> int:
    """How many runs a ledger has."""
    return int(ledger.query("SELECT count(*) FROM runs")[0][0])


_RUN_TYPES = {
    "run": "string", "action": "string", "campaign": "string", "state": "string", "who": "string", "reason": "string", "note": "string",
    "created_at": TIME_DTYPE, **dict.fromkeys((*OUTCOMES, "withdrawn", "mended"), "Int64"),
}  # fmt: skip


def runs(ledger: Ledger) -> pd.DataFrame:
    """The runs of a ledger, newest first.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``run``: ``action campaign state who reason note`` (string), ``created_at`` (UTC), ``succeeded failed pending
        unknown blocked`` (Int64, rows), ``withdrawn`` (Int64: of the succeeded ones those whose posts were withdrawn since), ``mended``
        (Int64: of the failed and blocked ones those that a later request has brought to success).
    """
    counts = ", ".join(f"sum({_OUTCOME} = '{outcome}') AS {outcome}" for outcome in OUTCOMES)
    rows = ledger.query(
        f"""SELECT runs.id AS run, runs.action AS action, runs.campaign AS campaign, runs.state AS state, runs.who AS who,
                   nullif(runs.reason, '') AS reason, runs.note AS note, runs.created AS created_at, {counts},
                   count(CASE WHEN {_WITHDRAWN} THEN 1 END) AS withdrawn,
                   count(CASE WHEN {_OUTCOME} IN ('failed', 'blocked') AND {_MENDED} THEN 1 END) AS mended
            FROM {_ROWS} LEFT JOIN seen ON seen.post_id = requests.result_id JOIN runs ON runs.id = run_rows.run
            GROUP BY runs.id ORDER BY runs.created DESC, runs.rowid DESC"""
    )
    return _table(map(dict, rows), _RUN_TYPES).set_index("run")


_CAMPAIGN_TYPES: dict[Any, Any] = {"campaign": "string", "rows": "Int64", "first_at": TIME_DTYPE, "last_at": TIME_DTYPE}

# A campaign as a post names it, the mark of the post's row, or the post's id, and when it was created.
Named = tuple[str, str, Any]


def campaigns(ledger: Ledger, posts: Iterable[Named]) -> pd.DataFrame:
    """The campaigns of which rows may have been created: those of the ledger and of posts, as they were written last.

    The newest posts come first.
    """
    posts = list(posts)
    runs = ledger.query("SELECT campaign FROM runs WHERE campaign <> '' ORDER BY created, rowid")
    names = {keys.campaign_name(name): name for name, *_ in [*reversed(posts), *runs]}
    rows = [(keys.campaign_name(name), row, at) for name, row, at in posts]
    left = ledger.query(
        """SELECT campaign, label, created FROM requests WHERE mark IS NOT NULL AND campaign <> '' AND (outcome = 'succeeded'
             OR EXISTS (SELECT 1 FROM call_rows WHERE call_rows.request = requests.id AND NOT void))"""
    )
    rows += [(name, keys.row_mark(name, label), _instant(at)) for name, label, at in left if name in names]
    forms = {keys.campaign_mark(form): form for form in names}
    seen = ledger.query(
        "SELECT campaign_mark, coalesce(row_mark, post_id), created FROM seen WHERE campaign_mark IS NOT NULL"
    )
    rows += [(forms[mark], row, at) for mark, row, at in seen if mark in forms]
    table = pd.DataFrame(rows, columns=["campaign", "row", "at"])
    groups = table.assign(at=parse_times(list(table["at"]))).groupby("campaign")
    ends = {"rows": groups["row"].nunique(), "first_at": groups["at"].min(), "last_at": groups["at"].max()}
    table = pd.DataFrame(ends).sort_values("last_at", ascending=False).reset_index()
    return table.assign(campaign=table["campaign"].map(names)).astype(_CAMPAIGN_TYPES)


def tries(ledger: Ledger, posts: Sequence[str]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What this ledger knows of the retried targets of posts: post, platform and account -> the last try, and how many there were.

    A try is a request that may have left. It ended when its outcome was seen; before, its time is when it was last sent.
    """
    rows = ledger.query(
        f"""SELECT substr(requests.subject, 7) AS post, requests.platform AS platform,
                   coalesce(json_extract(requests.item, '$.account'), '') AS account, {NOW} AS outcome, requests.error_code AS code,
                   coalesce(requests.settled, last.last_sent) AS at, count(*) OVER (PARTITION BY requests.subject, requests.platform,
                   json_extract(requests.item, '$.account')) AS tried
            FROM requests LEFT JOIN calls ON calls.id = requests.call {_LAST}
            WHERE requests.subject {some("subjects")} AND requests.platform <> '' AND last.id IS NOT NULL ORDER BY requests.id""",
        subjects=[f"post::{post}" for post in posts],
    )
    return {
        (row["post"], row["platform"], row["account"]): {
            "last_outcome": row["outcome"],
            "last_code": row["code"],
            "last_tried_at": _instant(row["at"]),
            "tried": row["tried"],
        }
        for row in rows
    }


def rows_of(ledger: Ledger, posts: Sequence[str]) -> dict[str, tuple[str | None, datetime | None]]:
    """Post -> the row that this ledger created it for, and when a plan of `plan_sync` has withdrawn it."""
    rows = ledger.query(
        """SELECT value AS post, (SELECT label FROM requests WHERE result_id = value AND mark IS NOT NULL LIMIT 1) AS label,
                   (SELECT max(settled) FROM requests WHERE subject = 'post::' || value AND act = 'cancel' AND outcome = 'succeeded'
                      AND json_extract(item, '$.seen.sync') IS NOT NULL
                      AND EXISTS (SELECT 1 FROM call_rows WHERE call_rows.request = requests.id AND NOT call_rows.void)) AS at
            FROM json_each(:posts) WHERE label IS NOT NULL OR at IS NOT NULL""",
        posts=posts,
    )
    return {row["post"]: (row["label"], _instant(row["at"])) for row in rows}


_TRAIL_TYPES = {
    "action": "string", "item": "string", "platform": "string", "method": "string", "path": "string", "idempotency_key": "string",
    "state": "string", "outcome": "string", "waiting_for": "string", "error_code": "string", "error_message": "string",
    "result_id": "string", "notice": "string", "who": "string", "reason": "string", "attempt": "Int64", "tries": "Int64",
    "http_status": "Int64", "created_at": TIME_DTYPE, "first_sent_at": TIME_DTYPE, "last_sent_at": TIME_DTYPE, "settled_at": TIME_DTYPE,
}  # fmt: skip


def history(ledger: Ledger) -> pd.DataFrame:
    """The audit trail: every request with its last call, oldest first.

    Returns
    -------
    pandas.DataFrame
        ``action item platform method path idempotency_key state outcome waiting_for error_code error_message result_id notice who reason``
        (string), ``attempt tries http_status`` (Int64), ``created_at first_sent_at last_sent_at settled_at`` (UTC). ``state`` is
        ``unsent``, that of the open call, or ``settled``.
    """
    rows = ledger.query(
        f"""SELECT requests.id AS id, CASE runs.action WHEN 'retry' THEN 'retry' ELSE requests.act END AS action,
                   requests.label AS item, requests.platform AS platform, last.method AS method, last.path AS path, last.key AS idempotency_key, {NOW} AS outcome, requests.error_code AS error_code,
                   coalesce(calls.state, CASE WHEN requests.outcome = '' THEN 'unsent' ELSE 'settled' END) AS state,
                   coalesce(nullif(requests.reason, ''), nullif(calls.reason, ''), calls.state, '') AS why,
                   requests.error_message AS error_message, requests.result_id AS result_id, runs.who AS who, runs.reason AS reason,
                   requests.attempt AS attempt, coalesce(last.tries, 0) AS tries, last.http_status AS http_status,
                   requests.created AS created_at, last.first_sent AS first_sent_at, last.last_sent AS last_sent_at,
                   requests.settled AS settled_at
            FROM requests LEFT JOIN calls ON calls.id = requests.call {_LAST}
            LEFT JOIN runs ON runs.id = (SELECT run FROM run_rows JOIN runs ON id = run WHERE run_rows.request = requests.id
                                         ORDER BY created, runs.rowid LIMIT 1)
            ORDER BY requests.id"""
    )
    copies = {request.id: f"duplicates exist: {', '.join(others)}" for request, (_, *others) in duplicates(ledger)}
    cells = [
        {
            **row,
            "waiting_for": None if row["outcome"] in SETTLED else str(_why(row["why"])),
            "notice": copies.get(row["id"]),
        }
        for row in map(dict, rows)
    ]
    return _table(cells, _TRAIL_TYPES)


def acted_on(ledger: Ledger, since: datetime) -> set[str]:
    """Ids of the posts and deliveries that something was sent for since an instant of the server's."""
    sql = "SELECT DISTINCT subject FROM calls WHERE last_sent >= :since"
    return {*ledger.query(sql, lambda row: Subject.parse(row[0]).id, since=since.timestamp())}


def plan_of(ledger: Ledger, run: str) -> Plan:
    """The plan of a run, as it was bound."""
    head = ledger.runs.head(run)
    items = ledger.query(
        "SELECT row, item FROM run_rows JOIN requests ON requests.id = request WHERE run = :run ORDER BY chunk, row",
        lambda row: replace(read_item(row["item"]), row=row["row"]),
        run=run,
    )
    table, why = _planned(ledger, run)
    return Plan(
        act=act_named(head.action),
        table=table,
        items=tuple(items),
        campaign=head.campaign,
        key=head.key_column,
        why=why,
    )


def _planned(ledger: Ledger, run: str) -> tuple[pd.DataFrame, tuple[Reason, ...]]:
    """The table of a run's plan, and the reason of each row, of which the table has the sentence."""
    table = restore(ledger.runs.frame(run))
    if ledger.runs.head(run).key_column not in {"", *table}:
        raise LedgerError(f"the ledger {ledger.path} has another plan of {run}; somebody has changed it by hand")
    reasons = {text: read_reason(text) for text in table["reason"].unique()}
    why = tuple(reasons[text] for text in table["reason"])
    return table.assign(reason=pd.array(list(map(str, why)), dtype="string")), why


def planned_rows(ledger: Ledger, run: str) -> pd.DataFrame:
    """The eligible rows of a run as they were planned, in the order of `results`, which puts its own errors into their place."""
    return _planned(ledger, run)[0].iloc[[row.row for row in ledger.runs.rows(run)]]


def seen_states(ledger: Ledger, run: str) -> list[dict[str, Any]]:
    """The state that settled each row of a run, in the order of `results`; empty where nothing was read."""
    sql = f"SELECT requests.seen FROM {_ROWS} WHERE run_rows.run = :run ORDER BY run_rows.row"
    return ledger.query(sql, lambda row: canonical.decode(row[0] or "{}"), run=run)


def stuck_rows(ledger: Ledger, run: str, before: float) -> set[int]:
    """Places, in the order of `results`, of rows whose act was sent before an instant of server time and has not ended.

    A create in doubt is not among them: lists show it, or prove it absent.
    """
    rows = ledger.query(
        f"""SELECT calls.state IN ('accepted', 'unknown') AND requests.mark IS NULL AND calls.last_sent < :before
            FROM {_ROWS} WHERE run_rows.run = :run ORDER BY run_rows.row""",
        run=run,
        before=before,
    )
    return {place for place, (is_stuck,) in enumerate(rows) if is_stuck}
