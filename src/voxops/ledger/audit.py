"""What the ledger can tell: a run's rows with their outcomes, the runs there were, and the whole trail, as frames."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._support import canonical
from voxops._support.files import write_file
from voxops._support.safe import cell
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.error_bodies import read_answer
from voxops.api.reasons import Reason, read_reason
from voxops.frames.packing import unpack
from voxops.ledger.copies import copies_of, duplicates_in
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Seen, read_item, stored_reason
from voxops.ledger.requests import NOW
from voxops.model import OUTCOMES, WITHDRAWN_STATUSES

SETTLED = frozenset({"succeeded", "failed"})

# Rows of a run with the request that each stands for, and its last call.
_ROWS = """FROM run_rows LEFT JOIN requests ON requests.id = run_rows.request
           LEFT JOIN calls ON calls.id = requests.call
           LEFT JOIN calls AS last ON last.id = (SELECT max(call) FROM call_rows WHERE call_rows.request = requests.id)
           WHERE run_rows.run = ?"""
_COUNTED = """FROM run_rows LEFT JOIN requests ON requests.id = run_rows.request LEFT JOIN calls ON calls.id = requests.call
              WHERE run_rows.run = ?"""
_OUTCOME = f"CASE WHEN run_rows.reason <> '' OR requests.id IS NULL THEN 'blocked' ELSE {NOW} END"


def cells(ledger: Ledger, run: str) -> Counter[tuple[str, str]]:
    """Rows of a run by platform and outcome."""
    rows = ledger.query(
        f"SELECT coalesce(requests.platform, '') AS p, {_OUTCOME} AS o, count(*) AS n {_COUNTED} GROUP BY 1, 2", (run,)
    )
    return Counter({(row["p"], row["o"]): row["n"] for row in rows})


def tally(ledger: Ledger, run: str) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Rows of a run by platform and outcome, and why those that are not settled wait, by one look at the run."""
    rows = ledger.query(
        f"""SELECT coalesce(requests.platform, '') AS p, {_OUTCOME} AS o, requests.call IS NULL AS unsent,
                   coalesce(nullif(run_rows.reason, ''), nullif(requests.reason, ''), nullif(calls.reason, ''), calls.state, '') AS why,
                   count(*) AS n
            {_COUNTED} GROUP BY 1, 2, 3, 4""",
        (run,),
    )
    counts, reasons = Counter[tuple[str, str]](), Counter[str]()
    for row in rows:
        counts[row["p"], row["o"]] += row["n"]
        if row["o"] not in SETTLED:
            reasons[_why(row["why"])] += row["n"]
    return counts, reasons


_STATES = {
    "": "not sent yet",
    "sent": "being sent",
    "accepted": "queued",
    "unknown": "no usable answer",
    "limited": "rate limited",
}


@lru_cache(maxsize=4096)
def _why(text: str) -> str:
    """Why a row waits, for people."""
    return _STATES[text] if text in _STATES else str(read_reason(text))


def results(ledger: Ledger, run: str) -> pd.DataFrame:
    """The rows of a run, each with its outcome.

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
        f"""SELECT run_rows.row AS row, run_rows.reason AS held, requests.attempt AS attempt, run_rows.chunk AS batch, last.key AS key,
                   last.method AS method, last.path AS path, last.tries AS tries, last.http_status AS http_status, last.reply AS reply,
                   last.resent AS resent, last.collided AS collided, last.act AS act, {_OUTCOME} AS outcome,
                   coalesce(nullif(run_rows.reason, ''), nullif(requests.reason, ''), nullif(calls.reason, ''), calls.state, '') AS why,
                   requests.error_code AS error_code, requests.error_message AS error_message, requests.result_id AS result_id,
                   requests.settled AS settled, requests.mark AS mark
            {_ROWS} ORDER BY run_rows.row""",
        (run,),
    )
    table = plan.iloc[[row["row"] for row in rows]].copy()
    copies = {copy.row: copy.others for copy in copies_of(ledger, run)}
    gone = ledger.seen.of_posts(
        row["result_id"] for row in rows if row["mark"] is not None and row["result_id"] is not None
    )
    open_rows, stopped = [row["outcome"] not in SETTLED for row in rows], _stopped(ledger, run)
    request = [None if row["method"] is None else f"{row['method']} {row['path']}" for row in rows]
    table = table.assign(
        attempt=_column([row["attempt"] for row in rows], "Int64", table["attempt"]),
        idempotency_key=_column([row["key"] for row in rows], "string", table["idempotency_key"]),
        request=_column(request, "string", table["request"]),
        status_before=table["status"].astype("string")
        if "status" in table.columns
        else pd.array([None] * len(rows), dtype="string"),
        outcome=pd.array([row["outcome"] for row in rows], dtype="string"),
        waiting_for=pd.array(
            [
                (_why(row["why"]) if row["why"] else stopped) if is_open else None
                for row, is_open in zip(rows, open_rows, strict=True)
            ],
            dtype="string",
        ),
        reason_code=pd.array(
            [_code(row["why"]) if is_open else None for row, is_open in zip(rows, open_rows, strict=True)],
            dtype="string",
        ),
        withdrawn=pd.array([_withdrawn(row, gone) for row in rows], dtype="string"),
        tries=pd.array([row["tries"] or 0 for row in rows], dtype="Int64"),
        http_status=pd.array([row["http_status"] for row in rows], dtype="Int64"),
        error_code=pd.array([_error_code(row) for row in rows], dtype="string"),
        error_message=pd.array([row["error_message"] for row in rows], dtype="string"),
        result_id=pd.array([row["result_id"] for row in rows], dtype="string"),
        settled_at=_times([row["settled"] for row in rows]),
        notice=pd.array([_notice(row, copies.get(row["row"], ())) for row in rows], dtype="string"),
    )
    table.attrs = {**plan.attrs, "run": run}
    head = ledger.runs.head(run)
    if head.key_column:  # what goes from cell to cell and through files names its campaign (rule 29)
        table = table.assign(campaign=pd.array([head.campaign] * len(table), dtype="string"))
        table.attrs = {**plan.attrs, "run": run, "campaign": head.campaign, "key": head.key_column}
    return table


def _stopped(ledger: Ledger, run: str) -> str:
    """Why rows of a run are not sent yet, for people: how its last pass ended, where none is under way."""
    rows = ledger.query("SELECT state, note FROM runs WHERE id = ? AND lease_until = 0", (run,))
    state, note = rows[0] if rows else ("", "")
    if state == "stopped":
        return f"stopped: {note}"
    return str(Reason("paused")) if state == "paused" else _STATES[""]


def _code(text: str) -> str:
    """The code of why a row waits."""
    if text in _STATES:
        return {
            "": "unsent",
            "sent": "being_sent",
            "accepted": "queued",
            "unknown": "unresolved",
            "limited": "rate_limited",
        }[text]
    reason = stored_reason(text)
    return "" if reason is None else reason.code


def _withdrawn(row: sqlite3.Row, gone: Mapping[str, Seen]) -> str | None:
    """Status and instant of a post that was withdrawn or deleted since; None while it is there."""
    post = gone.get(row["result_id"] or "") if row["outcome"] == "succeeded" else None
    if post is None or post.status not in WITHDRAWN_STATUSES | {"deleted"}:
        return None
    return f"{post.status} {datetime.fromtimestamp(post.since, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _error_code(row: sqlite3.Row) -> str | None:
    """The code of a row that failed; of one that is unknown, the one in the last answer."""
    if row["error_code"] is not None or row["outcome"] != "unknown" or (row["http_status"] or 0) < 400:
        code: str | None = row["error_code"]
        return code
    return _code_of(row["reply"]) or f"HTTP_{row['http_status']}"


@lru_cache(maxsize=256)
def _code_of(reply: bytes | None) -> str:
    """The API's code in an answer, whose rows share it."""
    try:
        return read_answer(canonical.decode(reply or b"null")).code
    except ValueError:
        return ""


def _notice(row: sqlite3.Row, copies: Sequence[str]) -> str | None:
    """What a reader of the results must know besides the outcome (rules 11 and 28)."""
    said = []
    if row["collided"]:
        said.append("may have gone out twice: somebody else worked on the same thing at that moment")
    elif row["resent"] and act_named(row["act"]).about == "post" and not act_named(row["act"]).reverts:
        said.append("may have gone out twice: nobody answered, nothing showed, and it was sent again under its key")
    if copies:
        said.append(f"duplicates exist: {', '.join(copies)}; run.copies() lists them")
    return "; ".join(said) or None


def _column(values: list[Any], dtype: Any, fallback: pd.Series) -> Any:
    """Values as sent, and where nothing was, as planned."""
    return pd.array(
        [planned if value is None else value for value, planned in zip(values, fallback, strict=True)], dtype=dtype
    )


def _times(seconds: Sequence[float | None]) -> pd.DatetimeIndex:
    """Seconds since the epoch as UTC times."""
    stamps = [None if second is None else datetime.fromtimestamp(second, UTC) for second in seconds]
    return pd.DatetimeIndex(pd.to_datetime(pd.Series(stamps, dtype="object"), utc=True)).as_unit("us")


def count_runs(ledger: Ledger) -> int:
    """How many runs a ledger has."""
    return int(ledger.query("SELECT count(*) FROM runs")[0][0])


def withdrawn(ledger: Ledger, run: str) -> int:
    """How many posts of a run's rows were withdrawn or deleted since."""
    rows = ledger.query(
        """SELECT count(*) FROM run_rows JOIN requests ON requests.id = request JOIN seen ON seen.post_id = requests.result_id
           WHERE run = ? AND run_rows.reason = '' AND requests.mark IS NOT NULL AND seen.status IN (SELECT value FROM json_each(?))""",
        (run, json.dumps(sorted(WITHDRAWN_STATUSES | {"deleted"}))),
    )
    return int(rows[0][0])


def runs(ledger: Ledger) -> pd.DataFrame:
    """The runs of a ledger, newest first.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``run``: ``action campaign state who reason note`` (string), ``created_at`` (UTC), ``succeeded failed pending
        unknown blocked`` (Int64, rows), ``withdrawn`` (Int64: of the succeeded ones those whose posts were withdrawn since).
    """
    rows = ledger.query(
        "SELECT id, action, campaign, state, who, nullif(reason, '') AS reason, note, created FROM runs ORDER BY created DESC, rowid DESC"
    )
    counts = [Counter[str]() for _ in rows]
    for row, count in zip(rows, counts, strict=True):
        for (_, outcome), number in cells(ledger, row["id"]).items():
            count[outcome] += number
    words = {
        name: pd.array([row[name] for row in rows], dtype="string")
        for name in ("action", "campaign", "state", "who", "reason", "note")
    }
    numbers = {name: pd.array([count[name] for count in counts], dtype="Int64") for name in OUTCOMES}
    numbers["withdrawn"] = pd.array([withdrawn(ledger, row["id"]) for row in rows], dtype="Int64")
    index = pd.Index([row["id"] for row in rows], name="run", dtype="string")
    return pd.DataFrame({**words, "created_at": _times([row["created"] for row in rows]), **numbers}, index=index)


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
        f"""SELECT requests.*, {NOW} AS now, calls.state AS state, calls.reason AS of_call, calls.id AS open,
                   last.key AS key, last.method AS method, last.path AS path, last.tries AS tries, last.http_status AS http_status,
                   last.first_sent AS first_sent, last.last_sent AS last_sent, runs.who AS who, runs.reason AS because
            FROM requests LEFT JOIN calls ON calls.id = requests.call
            LEFT JOIN calls AS last ON last.id = (SELECT max(call) FROM call_rows WHERE call_rows.request = requests.id)
            LEFT JOIN runs ON runs.id = (SELECT run FROM run_rows JOIN runs ON id = run WHERE run_rows.request = requests.id
                                         ORDER BY created, runs.rowid LIMIT 1)
            ORDER BY requests.id"""
    )
    copies = duplicates_in(ledger)
    waits = [row["reason"] or row["of_call"] or row["state"] or "" for row in rows]
    is_open = [row["now"] not in SETTLED for row in rows]
    text = {
        "action": [row["act"] for row in rows], "item": [row["label"] for row in rows], "platform": [row["platform"] for row in rows],
        "method": [row["method"] for row in rows], "path": [row["path"] for row in rows], "idempotency_key": [row["key"] for row in rows],
        "state": [row["state"] or ("unsent" if wait else "settled") for row, wait in zip(rows, is_open, strict=True)],
        "outcome": [row["now"] for row in rows],
        "waiting_for": [_why(why) if wait else None for why, wait in zip(waits, is_open, strict=True)],
        "error_code": [row["error_code"] for row in rows], "error_message": [row["error_message"] for row in rows],
        "result_id": [row["result_id"] for row in rows], "notice": [copies.get(row["id"]) for row in rows],
        "who": [row["who"] for row in rows], "reason": [row["because"] for row in rows],
    }  # fmt: skip
    columns: dict[str, Any] = {name: pd.array(values, dtype="string") for name, values in text.items()}
    columns["attempt"] = pd.array([row["attempt"] for row in rows], dtype="Int64")
    columns["tries"] = pd.array([row["tries"] or 0 for row in rows], dtype="Int64")
    columns["http_status"] = pd.array([row["http_status"] for row in rows], dtype="Int64")
    times = {
        "created_at": "created",
        "first_sent_at": "first_sent",
        "last_sent_at": "last_sent",
        "settled_at": "settled",
    }
    columns |= {name: _times([row[source] for row in rows]) for name, source in times.items()}
    return pd.DataFrame(columns)


def acted_on(ledger: Ledger, since: datetime) -> set[str]:
    """Ids of the posts and deliveries that something was sent for since an instant of the server's."""
    rows = ledger.query("SELECT DISTINCT subject FROM calls WHERE last_sent >= ?", (since.timestamp(),))
    return {text.split(":", 2)[2] for (text,) in rows}


def prune(ledger: Ledger, before: datetime) -> int:
    """Drop bytes and replies of calls that were closed before an instant; identity and outcome stay (rule 24)."""
    with ledger.atomic() as db:
        changed = db.execute(
            """UPDATE calls SET body = NULL, reply = NULL, baseline = NULL
               WHERE state = 'closed' AND coalesce(ended, last_sent) < ? AND (body IS NOT NULL OR reply IS NOT NULL)""",
            (before.timestamp(),),
        ).rowcount
    return int(changed)


def export(ledger: Ledger, path: Path) -> Path:
    """Write the audit trail as CSV, formulas guarded, and return the path."""
    table = history(ledger)
    text = StringIO(newline="")
    out = csv.writer(text)
    out.writerow(table.columns)
    for row in table.itertuples(index=False):
        out.writerow(["" if pd.isna(value) else cell(str(value)) for value in row])
    write_file(path, text.getvalue())
    return path


def plan_of(ledger: Ledger, run: str) -> Plan:
    """The plan of a run, as it was bound."""
    head = ledger.runs.head(run)
    rows = ledger.query(
        "SELECT row, item, canary FROM run_rows JOIN requests ON requests.id = request WHERE run = ? ORDER BY chunk, row",
        (run,),
    )
    table, why = _planned(ledger, run)
    return Plan(
        act=act_named(head.action),
        table=table,
        items=tuple(replace(read_item(row["item"]), row=row["row"]) for row in rows),
        campaign=head.campaign,
        key=head.key_column,
        canaries=head.canaries,
        first=frozenset(row["row"] for row in rows if row["canary"] is not None),
        why=why,
    )


def _planned(ledger: Ledger, run: str) -> tuple[pd.DataFrame, tuple[Reason | str, ...]]:
    """The table of a run's plan, and the reason of each row, of which the table has the sentence."""
    table = unpack(ledger.runs.frame(run))
    texts = table["reason"].fillna("").astype(str).to_list()
    known = {text: read_reason(text) for text in set(texts)}
    why = tuple(known[text] for text in texts)
    return table.assign(reason=pd.array([str(each) for each in why], dtype="string")), why


def planned_rows(ledger: Ledger, run: str) -> pd.DataFrame:
    """The eligible rows of a run as they were planned, in the order of `results`, which puts its own errors into their place."""
    rows = ledger.query("SELECT row FROM run_rows WHERE run = ? ORDER BY row", (run,))
    return _planned(ledger, run)[0].iloc[[row["row"] for row in rows]]


def seen_states(ledger: Ledger, run: str) -> list[dict[str, Any]]:
    """The state that settled each row of a run, in the order of `results`; empty where nothing was read."""
    rows = ledger.query(f"SELECT requests.seen AS seen {_COUNTED} ORDER BY run_rows.row", (run,))
    return [json.loads(row["seen"]) if row["seen"] else {} for row in rows]


def stuck_rows(ledger: Ledger, run: str, before: float) -> set[int]:
    """Places, in the order of `results`, of rows whose act was sent before an instant of server time and has not ended.

    A create of which nobody knows is found or proved absent, and is not abandoned.
    """
    rows = ledger.query(
        f"SELECT calls.state AS state, calls.last_sent AS sent, requests.mark AS mark {_COUNTED} ORDER BY run_rows.row",
        (run,),
    )
    return {
        place
        for place, row in enumerate(rows)
        if row["state"] in {"accepted", "unknown"} and row["mark"] is None and (row["sent"] or 0.0) < before
    }
