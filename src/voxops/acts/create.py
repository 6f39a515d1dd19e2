"""Create: a campaign's rows as posts, in calls of at most 50 rows, or one by one (matrix rows 1 and 11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pandas as pd

from voxops._support.arguments import true_or_false
from voxops._support.canonical import canonical, fingerprint, row_key, well_formed
from voxops.acts import keys
from voxops.acts.act import BULK, About, Act, Form, Item, Judged, Request, Requests, Row, Subject, key_of, settled
from voxops.acts.plan import PLAN_TYPES, RESULT_TYPES, Plan, build_plan
from voxops.api.error_bodies import bears_error
from voxops.api.limits import METADATA_TEXT_CHARACTERS
from voxops.api.reasons import READY, Reason
from voxops.api.states import PostState, account_spelling, as_mark
from voxops.errors import PlanError
from voxops.frames.cells import metadata_value
from voxops.frames.checks import attempt_in, flags, need, plain_values, warn_of_typos
from voxops.frames.records import read_bulk_results
from voxops.model import POST_STATUSES, WAITING_STATUSES, Outcome
from voxops.sheets.campaign import OPTIONAL
from voxops.sheets.files import Places
from voxops.sheets.media import content_type_of
from voxops.sheets.rules import (
    NUMBER_OF_A_FILE,
    errors_of_all,
    name_errors,
    own_texts,
    people_of,
    platforms_of,
    sheet_rows,
    utc_text,
)

# Columns that would name no row any more once it is planned or done.
_FILLED = {*PLAN_TYPES, *RESULT_TYPES, "campaign"}

# Optional fields of a create, where a row has none.
NOTHING_ELSE: Row = {"tags": [], "media": [], "firstComment": ""}


def resolved(item: Item, accounts: Mapping[str, str]) -> Item:
    """The item with account ids for names. An account that a row names twice, such as by id and by name, gets the post once.

    In a request of its own Instagram needs a content type (contract: 8.1), which follows from the media; items of a batch have none.
    """
    ids = sorted({accounts.get(name, name) for name in item.requested.get("accountIds", ())})
    body, media = {**item.requested, "accountIds": ids}, item.requested.get("media")
    if item.path != BULK and media and any(account_spelling(f"instagram:{account}") in accounts for account in ids):
        body.setdefault("contentType", "CAROUSEL" if len(media) > 1 else "VIDEO" if item.seen.get("film") else "IMAGE")
    return replace(item, body=body)


class CreateOne(Act):
    """Each row is a request of its own: safe where two laptops send overlapping sheets at the same time. A post is found by its mark."""

    name = "create_one"
    place = "POST /v1/posts"
    verb = "create"
    about: ClassVar[About] = "create"
    creates: ClassVar[bool] = True
    reverts = True

    def form(self, items: Sequence[Item], state: PostState | None = None, people: Row | None = None) -> Form:  # noqa: ARG002
        """The rows in the order of their identities, however the sheet is sorted (rule 8), each with its marks."""
        rows = sorted(items, key=lambda item: item.identity)
        bodies = [_marked(item, people or {}) for item in rows]
        body = {"posts": bodies, "dryRun": False} if self.bulk else bodies[0]
        return Form("POST", rows[0].path, canonical(body), key_of(rows))

    def decodes(self, data: Any) -> bool:
        """The post; an id with the status of something else, such as what a gateway has taken, is none."""
        if not isinstance(data, Mapping) or bears_error(data) or not isinstance(data.get("id") or None, str | int):
            return False
        return "status" not in data or str(data["status"]).lower() in POST_STATUSES

    def is_of_another(self, requests: Requests, path: str, data: Row) -> bool:  # noqa: ARG002
        """An answer may show marks, of the post or of its items."""
        posts = [data, *(metadata_value(result, ["post"]) for result in _results(data) or ())]
        shown = {as_mark(metadata_value(post, ["metadata", "voxopsOp"])) for post in posts}
        return not shown <= {None, *(request.item.mark for request in requests)}

    def settle_answer(self, requests: Requests, data: Any, *, first: bool) -> list[Request]:  # noqa: ARG002
        """The row has succeeded: the answer names its post."""
        return [settled(request, Outcome.SUCCEEDED, result_id=str(data["id"])) for request in requests]

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:
        """Create what failed, as the next attempt."""
        return plan_create(failed, key=key, campaign=campaign, one_by_one=not self.bulk)


class Create(CreateOne):
    """Rows share calls; each item of an answer counts separately."""

    name = "create"
    place = f"POST {BULK}"
    bulk = True

    def decodes(self, data: Any) -> bool:
        """Whether it has a list of items."""
        return _results(data) is not None

    def settle_answer(self, requests: Requests, data: Any, *, first: bool) -> list[Request]:  # noqa: ARG002
        """Each row by its own item; rows whose item can't be read are unknown."""
        items = read_items(data)
        return [
            settled(request, **items[request.position])
            if request.position in items
            else replace(request, outcome=Outcome.UNKNOWN, reason=Reason("item_unreadable"))
            for request in requests
        ]

    def settle_refusal(self, requests: Requests, data: Any) -> list[Request]:
        """A refused batch that shows items is read by them; items that can't be read are no refusal (rule 12)."""
        results = _results(data)
        shows = results is not None and (results or data.get("created"))
        return self.settle_answer(requests, data, first=True) if shows else []


CREATE, CREATE_ONE = Create(), CreateOne()


def _marked(item: Item, fields: Row) -> dict[str, Any]:
    """What is sent for a row: what is requested, its people in these fields, and the marks that find the post again (rule 10)."""
    marks = {
        "voxopsOp": item.mark,
        "voxopsRow": item.row_mark,
        "voxopsCampaign": keys.campaign_mark(item.campaign),
        "voxopsAsked": item.asked_hash,
        "voxopsChanges": keys.field_marks({**NOTHING_ELSE, **item.requested}),
    }
    people = item.seen.get("people") or {}
    metadata: dict[str, Any] = {}
    for name in people.keys() & fields.keys():
        *path, last = fields[name].split(".")
        place = metadata
        for part in path:
            place = place.setdefault(part, {})
        place[last] = people[name]
    body = {**item.requested, "metadata": {**metadata, **marks}}
    return body | ({"media": item.media_ids} if "media" in body else {})


def read_items(data: Any) -> dict[int, dict[str, Any]]:
    """Read the answer to a batch by ``index`` (rule 12).

    Returns
    -------
    dict
        Index -> the result of an item; without those whose index or post is missing, appears twice or is unreadable. Empty where the first
        index is missing, because items may be counted from one.
    """
    rows = read_bulk_results(_results(data) or [])
    times, posts = Counter(row[0] for row in rows), Counter(row[2] for row in rows)
    items: dict[int, dict[str, Any]] = {}
    for index, status, post_id, code, message in rows if times[0] else ():
        if index is None or times[index] > 1:
            continue
        if status == "created" and post_id and post_id.strip() and posts[post_id] == 1:
            items[index] = {"outcome": Outcome.SUCCEEDED, "result_id": post_id}
        elif status == "failed":
            why = message or "the server gave no reason"
            items[index] = {"outcome": Outcome.FAILED, "error_code": code or "FAILED", "error_message": why}
    return items


def _results(data: Any) -> list[Any] | None:
    """The items of the answer to a batch: under ``results``, which may be within ``data`` or an error; None where there are none."""
    if not isinstance(data, Mapping):
        return None
    for name in ("results", "items"):
        if isinstance(data.get(name), list):
            return list(data[name])
    inner = (_results(data.get(name)) for name in ("data", "error", "details"))
    return next((results for results in inner if results is not None), None)


def plan_create(sheet: pd.DataFrame, *, key: str, campaign: str | None = None, one_by_one: bool = False) -> Plan:
    """Plan to create a post for each row of a campaign.

    Parameters
    ----------
    sheet : pandas.DataFrame
        From ``vx.read_campaign``: ``content``, ``accounts`` (ids or ``platform:@name``, separated by ``;``) or ``account_ids``,
        ``scheduled_for`` with its offset from UTC, and if wished ``media`` (ids, https addresses, and names of files relative to the
        folder of the sheet, separated by ``;``: ``sheet = ws.upload(sheet)`` first, unless all are ids), ``content_type`` (image, video,
        carousel, …; Instagram needs one where rows are sent one by one, and it follows from the media where it is left out),
        ``first_comment``, ``tags``, ``attempt`` and ``twin`` (True: this row is meant although it looks like another one, rule 17)
        and ``force`` (True: send it although an account can't publish, or its id is unknown; such rows are blocked else, when the plan
        runs). ``content:twitter`` and the like go out there in place of ``content``. ``owner`` and ``campaign`` are sent as
        metadata, by the fields that ``vx.connect`` was given; they make no other post, and are not changed once it is there.
    key : str
        The column that holds each row's permanent id. The same row of the same campaign is created once, however often it is planned.
    campaign : str, optional
        Creates of the same row under another name are other posts. Case, white space and typographic signs don't make another name. By
        default the column ``campaign`` of the frame, as ``run.failed()`` and ``run.results()`` have it, else the empty name.
    one_by_one : bool
        Send each row as a request of its own: as many requests as rows. It is safe when two laptops send overlapping sheets at
        the same moment, as far as the server remembers keys (rule 8).

    Returns
    -------
    Plan
        As for `plan_retry`. A row is not eligible if it is too long, or lacks content, an account, or a time with its offset. Nor is a
        row with a text for a platform without an account, or with a file or an address that is not uploaded. Nor is the same post as a
        row above it, unless ``twin`` is True. A row asks for the bytes of its file: under another name, or uploaded by somebody else, it
        is the same row. No file is read.

    Raises
    ------
    PlanError
        If columns are missing, `key` is a column that plans or results fill, or a value of it is missing or there twice. Also
        if a column has lost its type in a file.

    Examples
    --------
    >>> vx.plan_create(sheet, key="row_id", campaign="spring").frame["reason"].to_list()
    ['ready', 'ready']
    """
    if not isinstance(key, str):
        raise PlanError(f"key= names the column that tells the rows apart, not {type(key).__name__}")
    act = CREATE_ONE if true_or_false("one_by_one", one_by_one) else CREATE
    accounts = [] if "account_ids" in getattr(sheet, "columns", ()) else ["accounts"]
    need(
        sheet, ("content", "scheduled_for", *accounts), "plan_create() needs a campaign", "Use vx.read_campaign(path)."
    )
    need(sheet, [key], "plan_create() needs the key column", "key= names the column that tells the rows apart.")
    if key in _FILLED:
        raise PlanError(f"key={key!r} names a column that plans and results fill themselves; rename the column first")
    warn_of_typos(sheet, OPTIONAL)
    written = _campaign_of(sheet, campaign)
    name = keys.campaign_name(written)
    labels, twins, forced = row_names(sheet, key), flags(sheet, "twin"), flags(sheet, "force")

    def judge(number: int, row: dict[str, Any], reason: Reason | None) -> Judged:
        if reason is not None:
            return reason, None
        people = people_of(row)
        if campaign and written and keys.campaign_name(people.get("campaign", written)) == name:
            people["campaign"] = written
        film = content_type_of((row["media"] or [""])[0]).startswith("video/")
        more = {"force": forced[number], "people": people, "media": row["uploaded"], "film": film}
        seen = {"campaign": name, "row": labels[number], "twin": twins[number]}
        seen |= {part: value for part, value in more.items() if value}
        identity = fingerprint("create", name, labels[number])
        row |= {"number": number, "attempt": attempt_in(row["attempt"]) or 1}
        platform = "+".join(sorted(set(platforms_of(row["accounts"]))))
        item = act.item(row, Subject("row", identity), identity, seen, body=_body_of(row), platform=platform)
        return Reason(READY), item

    judged = [judge(number, *fit) for number, fit in enumerate(_fit_rows(sheet, labels, twins))]
    reads = 1 + len(WAITING_STATUSES)  # the list of all, and of what waits to go out (rule 10)
    return build_plan(act, sheet, judged, reads=reads, campaign=written, key=key)


def _body_of(row: Row) -> dict[str, Any]:
    """What is requested for a row; optional parts are left out where the sheet has none."""
    body: dict[str, Any] = {
        "content": str(row["content"]),
        "accountIds": sorted(set(row["accounts"])),
        "scheduledFor": utc_text(row["scheduled_for"]),
    }
    media = [row["found"].get(part, part) for part in row["media"]]
    comment, kind = ("" if row[name] is None else str(row[name]) for name in ("first_comment", "content_type"))
    more = {
        "media": media,
        "tags": row["tags"],
        "platformOverrides": {name.upper(): {"content": text} for name, text in own_texts(row).items()},
        "firstComment": comment if comment.strip() else "",
        "contentType": kind.strip().upper(),
    }
    return body | {name: value for name, value in more.items() if value}


def _campaign_of(frame: pd.DataFrame, campaign: str | None) -> str:
    """The campaign as it is written, in one line: by the call, else by the frame."""
    if isinstance(campaign, str):
        if len(campaign) > METADATA_TEXT_CHARACTERS:
            raise PlanError(f"campaign= has {len(campaign):,} characters; it may have {METADATA_TEXT_CHARACTERS:,}")
        return _in_one_line(campaign)
    if campaign is not None:
        raise PlanError(f"campaign={campaign!r} must be text, such as 'spring 2026'")
    names: dict[str, str] = {}  # as rows write it first
    for value in plain_values(frame, "campaign"):
        written = _campaign_in(value)
        names.setdefault(keys.campaign_name(written), written)
    if len(names) > 1:
        raise PlanError(f"column 'campaign' names {len(names)} campaigns; plan them one by one, or pass campaign=")
    loaded = frame.attrs.get("campaign")
    return "".join(names.values()) or (_in_one_line(loaded) if isinstance(loaded, str) else "")


def _campaign_in(value: Any) -> str:
    """The campaign in a cell; a number there is one that a file has made of a name, such as 2026.1 of 2026.10 (rule 5)."""
    if value is not None and not isinstance(value, str):
        raise PlanError(
            f"column 'campaign' holds {str(value)[:40]}, a {type(value).__name__} that a file has made of a name; under another name, "
            "every row would be posted again; pass campaign=, or read the column as text"
        )
    return _in_one_line(value or "")


def _in_one_line(name: str) -> str:
    return " ".join(well_formed(name).split())


def row_names(frame: pd.DataFrame, key: str) -> list[str]:
    """The key column as canonical text, or a PlanError that names the rows without a key or with another row's."""
    try:
        names = [row_key(value) for value in plain_values(frame, key)]
    except PlanError as error:
        raise PlanError(f"column {key!r}: {error}") from None
    faults = {row: errors[0].reason for row, errors in enumerate(name_errors(names, frame)) if errors}
    if faults:
        fault = next(iter(faults.values()))
        rows = [row for row in faults if faults[row] == fault]
        places = Places.of(frame)
        numbers = places.numbers(frame)
        cells = [places.cell(numbers[row], key) for row in rows[:5]]
        where = f"frame.iloc[{rows[:5]}]" if None in cells else ", ".join(map(str, cells))
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        raise PlanError(f"column {key!r}: {fault} ({where}{more})")
    return [name for name in names if name is not None]


def _fit_rows(
    frame: pd.DataFrame, names: Sequence[str], meant: Sequence[bool]
) -> list[tuple[dict[str, Any], Reason | None]]:
    """Each row as plain values, and why it can't be created, None if it can: by the rules of ``ws.check``.

    `names` are the row keys, `meant` says which may look like another one.
    """
    column = "accounts" if "accounts" in frame.columns else "account_ids"
    for number, value in enumerate(plain_values(frame, column)):
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, float) or (isinstance(part, str) and NUMBER_OF_A_FILE.fullmatch(part.strip())):
                raise PlanError(
                    f"row {number}: column {column!r} holds {part!r}, a number that a file has made of an id; read the column as "
                    f"text, for example pd.read_csv(path, dtype={{{column!r}: 'string'}})"
                )
    places, rows = Places.of(frame), sheet_rows(frame)
    return [
        (row, errors[0].reason.at(places.cell(number, errors[0].column)) if errors else None)
        for row, errors, number in zip(rows, errors_of_all(rows, names, meant), places.numbers(frame), strict=True)
    ]
