"""What the ledger can tell: a run's outcomes, its waits, the runs there were, and the whole trail, as plain rows and frames."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
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
from voxops.acts.operation import Operation, Subject
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.error_bodies import read_answer
from voxops.api.reasons import Reason, read_reason
from voxops.frames.packing import unpack
from voxops.ledger.copies import copies_of
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import COLLIDED, OPEN
from voxops.model import OUTCOMES

__all__ = [
    "STATES",
    "acted_on",
    "canary_outcomes",
    "cells",
    "count_runs",
    "export",
    "history",
    "is_blocked_for",
    "plan_of",
    "planned_rows",
    "prune",
    "results",
    "runs",
    "seen_states",
    "stuck_rows",
    "tally",
]

STATES = (*OPEN, "settled", "withdrawn")
SETTLED = frozenset({"succeeded", "failed"})

# Rows of a run with the member each stands for; held rows have none.
_ROWS = """FROM run_rows LEFT JOIN items USING (identity, attempt)
           LEFT JOIN members ON members.op = items.op AND members.position = items.position
           LEFT JOIN operations ON operations.id = items.op
           WHERE run_rows.run = ?"""


def is_blocked_for(ledger: Ledger, run: str, why: str) -> bool:
    """Whether any row of a run is blocked for a reason that begins so."""
    return bool(
        ledger.query(
            f"SELECT 1 {_ROWS} AND (run_rows.held LIKE ? OR members.waiting_for LIKE ?) LIMIT 1",
            (run, f"{why}%", f"{why}%"),
        )
    )


def acted_on(ledger: Ledger, since: datetime) -> set[str]:
    """Ids of the posts and deliveries that something was sent for since an instant of the server's."""
    rows = ledger.query("SELECT DISTINCT subject FROM operations WHERE last_sent >= ?", (since.timestamp(),))
    return {Subject.parse(text).id for (text,) in rows}


def cells(ledger: Ledger, run: str) -> Counter[tuple[str, str]]:
    """Rows of a run by platform and outcome; held rows are blocked (rule 20)."""
    rows = ledger.query(
        f"SELECT coalesce(members.platform, '') AS p, coalesce(members.outcome, 'blocked') AS o, count(*) AS n {_ROWS} GROUP BY 1, 2",
        (run,),
    )
    return Counter({(row["p"], row["o"]): row["n"] for row in rows})


def tally(
    ledger: Ledger, run: str, apart: Iterable[int] = ()
) -> tuple[Counter[tuple[str, str]], Counter[tuple[int, str]]]:
    """Rows of a run by platform and outcome, as `cells`, and why those that are not settled wait, by one look at the run.

    Reasons are counted by operation for the operations `apart`, and under the number 0 for all others.
    """
    rows = ledger.query(
        f"""SELECT coalesce(members.platform, '') AS p, coalesce(members.outcome, 'blocked') AS o,
                   CASE WHEN items.op IN (SELECT value FROM json_each(?)) THEN items.op ELSE 0 END AS op,
                   operations.state AS state, run_rows.held AS held,
                   members.waiting_for AS why, operations.waiting_for AS of_all, count(*) AS n
            {_ROWS} GROUP BY 1, 2, 3, 4, 5, 6, 7""",
        (json.dumps(list(apart)), run),
    )
    counts, reasons = Counter[tuple[str, str]](), Counter[tuple[int, str]]()
    for row in rows:
        counts[row["p"], row["o"]] += row["n"]
        if row["o"] not in SETTLED:
            reasons[row["op"], _why(row["state"], row["held"], row["why"], row["of_all"])] += row["n"]
    return counts, reasons


def _why(state: str | None, held: str, why: str | None, of_all: str | None) -> str:
    """One reason for a row that is not settled, the most particular one."""
    said = held or why or of_all
    if said:
        return said
    return {"planned": "not sent yet", "sent": "being sent", "accepted": "queued", "unknown": "no usable answer"}.get(
        state or "", "held"
    )


def canary_outcomes(ledger: Ledger, run: str) -> dict[str, Counter[str]]:
    """Outcomes of a run's canaries by cause, ``held`` for those that were not sent; no cause is left out."""
    rows = ledger.query(
        f"""SELECT run_rows.canary AS cause, CASE WHEN run_rows.held <> '' THEN 'held' ELSE members.outcome END AS outcome, count(*) AS n
            {_ROWS} AND run_rows.canary IS NOT NULL GROUP BY 1, 2""",
        (run,),
    )
    outcomes: dict[str, Counter[str]] = {}
    for row in rows:
        outcomes.setdefault(row["cause"], Counter())[row["outcome"]] += row["n"]
    return outcomes


def results(ledger: Ledger, run: str) -> pd.DataFrame:
    """The rows of a run, each with its outcome.

    Returns
    -------
    pandas.DataFrame
        One row per eligible row of the plan, in its order: the plan's columns, ``attempt batch idempotency_key request`` as they
        were sent, ``status_before`` (string: the status when it was planned), and ``outcome`` (string: succeeded, failed, pending, unknown, blocked), ``waiting_for`` (string), ``tries
        http_status`` (Int64), ``error_code error_message result_id`` (string), ``settled_at`` (datetime64[us, UTC]), ``notice``
        (string: that it may have gone out twice, or which copies of it there are). Rows of creates also have ``campaign`` (string).
    """
    plan, _ = _planned(ledger, run)
    rows = ledger.query(
        f"""SELECT run_rows.row AS row, run_rows.held AS held, items.attempt AS attempt,
                   operations.batch, operations.key, operations.method, operations.path, operations.state, operations.tries,
                   operations.http_status, operations.reply, operations.waiting_for AS of_all, members.waiting_for AS why,
                   coalesce(members.outcome, 'blocked') AS outcome, members.error_code, members.error_message,
                   members.result_id, members.settled, operations.resent, operations.action
            {_ROWS} ORDER BY run_rows.row""",
        (run,),
    )
    table = plan.iloc[[row["row"] for row in rows]].copy()
    copies = {copy.row: copy.others for copy in copies_of(ledger, run)}
    request = [None if row["method"] is None else f"{row['method']} {row['path']}" for row in rows]
    waiting = [
        None if row["outcome"] in SETTLED else _why(row["state"], row["held"], row["why"], row["of_all"])
        for row in rows
    ]
    table = table.assign(
        attempt=_column([row["attempt"] for row in rows], "Int64", table["attempt"]),
        batch=_column([row["batch"] for row in rows], "Int64", table["batch"]),
        idempotency_key=_column([row["key"] for row in rows], "string", table["idempotency_key"]),
        request=_column(request, "string", table["request"]),
        status_before=table["status"].astype("string")
        if "status" in table.columns
        else pd.array([None] * len(rows), dtype="string"),
        outcome=pd.array([row["outcome"] for row in rows], dtype="string"),
        waiting_for=pd.array(waiting, dtype="string"),
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


def _error_code(row: sqlite3.Row) -> str | None:
    """The code of a row that failed; of one that nobody knows of, the one in the last answer."""
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
    if row["resent"] == COLLIDED:
        said.append("may have gone out twice: somebody else worked on the same thing at that moment")
    elif row["resent"] and row["action"] in {"retry", "fix"}:
        said.append("may have gone out twice: nobody answered, nothing showed, and it was sent again under its key")
    if copies:
        said.append(f"copies exist: {', '.join(copies)}; run.copies() lists them")
    return "; ".join(said) or None


def _column(values: list[Any], dtype: Any, fallback: pd.Series) -> Any:
    """Values as sent, and where nothing was, as planned."""
    kept = [planned if value is None else value for value, planned in zip(values, fallback, strict=True)]
    return pd.array(kept, dtype=dtype)


def _times(seconds: list[float | None]) -> pd.DatetimeIndex:
    """Seconds since the epoch as UTC times."""
    stamps = [None if second is None else datetime.fromtimestamp(second, UTC) for second in seconds]
    return pd.DatetimeIndex(pd.to_datetime(pd.Series(stamps, dtype="object"), utc=True)).as_unit("us")


def count_runs(ledger: Ledger) -> int:
    """How many runs a ledger has."""
    return int(ledger.query("SELECT count(*) FROM runs")[0][0])


def runs(ledger: Ledger) -> pd.DataFrame:
    """The runs of a ledger, newest first.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``run``: ``action campaign state who reason note`` (string), ``created_at`` (UTC), ``succeeded failed pending
        unknown blocked`` (Int64, rows), ``withdrawn`` (Int64: of the blocked ones those whose posts were taken back since).
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
    numbers["withdrawn"] = pd.array([ledger.runs.withdrawn(row["id"]) for row in rows], dtype="Int64")
    index = pd.Index([row["id"] for row in rows], name="run", dtype="string")
    return pd.DataFrame({**words, "created_at": _times([row["created"] for row in rows]), **numbers}, index=index)


def history(ledger: Ledger) -> pd.DataFrame:
    """The audit trail: every row that was ever planned to be sent, oldest first.

    Returns
    -------
    pandas.DataFrame
        ``action item platform method path idempotency_key state outcome waiting_for error_code error_message result_id who reason``
        (string), ``attempt batch tries http_status`` (Int64), ``created_at first_sent_at last_sent_at settled_at`` (UTC). A try that
        was taken back does not count as sent.
    """
    rows = ledger.query(
        """SELECT operations.*, members.label, members.platform, members.outcome, members.waiting_for AS why,
                  members.error_code, members.error_message, members.result_id, members.settled AS done,
                  items.attempt AS attempt, runs.who, runs.reason
           FROM members JOIN operations ON operations.id = members.op
           LEFT JOIN items ON items.op = members.op AND items.position = members.position
           LEFT JOIN run_rows ON run_rows.identity = items.identity AND run_rows.attempt = items.attempt
           LEFT JOIN runs ON runs.id = run_rows.run
           -- of the runs that share a row the first; SQLite takes all columns from the row of a lone min(), true as it is here
           GROUP BY members.op, members.position HAVING min(coalesce(runs.created, 0)) IS NOT NULL
           ORDER BY members.op, members.position"""
    )
    text = {
        "action": "action", "item": "label", "platform": "platform", "method": "method", "path": "path",
        "idempotency_key": "key", "state": "state", "outcome": "outcome", "error_code": "error_code",
        "error_message": "error_message", "result_id": "result_id", "who": "who", "reason": "reason",
    }  # fmt: skip
    columns: dict[str, Any] = {
        name: pd.array([row[source] for row in rows], dtype="string") for name, source in text.items()
    }
    waiting = [
        None if row["outcome"] in SETTLED else _why(row["state"], "", row["why"], row["waiting_for"]) for row in rows
    ]
    columns["waiting_for"] = pd.array(waiting, dtype="string")
    for name in ("attempt", "batch", "tries", "http_status"):
        columns[name] = pd.array([row[name] for row in rows], dtype="Int64")
    times = {"created_at": "created", "first_sent_at": "first_sent", "last_sent_at": "last_sent", "settled_at": "done"}
    columns |= {name: _times([row[source] for row in rows]) for name, source in times.items()}
    # What was taken back keeps the instant of its try, which archives go by; for people it was not sent.
    columns["last_sent_at"] = columns["last_sent_at"].where([row["tries"] > 0 for row in rows])
    return pd.DataFrame(columns)


def prune(ledger: Ledger, before: datetime) -> int:
    """Drop bytes and replies of operations settled before an instant; identity and outcome stay (rule 24)."""
    with ledger.atomic() as db:
        changed = db.execute(
            """UPDATE operations SET body = NULL, reply = NULL, baseline = NULL
               WHERE state IN ('settled', 'withdrawn') AND coalesce(settled, created) < ? AND (body IS NOT NULL OR reply IS NOT NULL)""",
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
    pointers = ledger.query(
        "SELECT op, position, row FROM run_rows JOIN items USING (identity, attempt) WHERE run = ?", (run,)
    )
    # A run may stand for some rows only of an operation that another has bound, at other places of its own table.
    rows = {(pointer["op"], pointer["position"]): pointer["row"] for pointer in pointers}
    operations = [
        Operation(
            key=stored.key,
            action=stored.action,
            method=stored.method,
            path=stored.path,
            body=stored.body,
            subject=stored.subject,
            items=tuple(
                replace(member.item, row=rows[stored.id, member.position])
                for member in ledger.operations.members(stored.id)
                if (stored.id, member.position) in rows
            ),
            batch=stored.batch,
            canary=stored.canary,
        )
        for stored in ledger.operations.of_run(run, STATES)
    ]
    table, why = _planned(ledger, run)
    return Plan(
        act=act_named(head.action),
        table=table,
        operations=tuple(operations),
        campaign=head.campaign,
        key=head.key_column,
        canaries=head.canaries,
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
    rows = ledger.query(f"SELECT members.seen AS seen {_ROWS} ORDER BY run_rows.row", (run,))
    return [json.loads(row["seen"]) if row["seen"] else {} for row in rows]


def stuck_rows(ledger: Ledger, run: str, before: float) -> set[int]:
    """Places, in the order of `results`, of rows whose act was sent before an instant of server time and has not ended.

    It was accepted, or nobody knows of it; a create of which nobody knows is found or proved absent, and is not given up.
    """
    rows = ledger.query(
        f"""SELECT operations.state AS state, operations.last_sent AS sent, members.outcome AS outcome, operations.action AS action
            {_ROWS} ORDER BY run_rows.row""",
        (run,),
    )
    return {
        place
        for place, row in enumerate(rows)
        if (row["state"], row["outcome"]) in {("accepted", "pending"), ("unknown", "unknown")}
        and act_named(row["action"]).about != "create"
        and (row["sent"] or 0.0) < before
    }
