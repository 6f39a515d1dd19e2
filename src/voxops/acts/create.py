"""Create: a campaign's rows as posts, in calls of at most 50 rows, or one by one (matrix rows 1 and 11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import pandas as pd

from voxops._support.arguments import did_you_mean
from voxops._support.canonical import as_read, canonical, fingerprint, row_key, well_formed
from voxops.acts import keys
from voxops.acts.act import (
    BULK,
    NO_WIRE,
    About,
    Act,
    Form,
    Item,
    Judged,
    Request,
    Requests,
    Row,
    Subject,
    Wire,
    key_of,
    settled,
)
from voxops.acts.plan import PLAN_TYPES, RESULT_TYPES, Plan, build_plan
from voxops.api.error_bodies import bears_error
from voxops.api.limits import METADATA_TEXT_CHARACTERS
from voxops.api.reasons import READY, Reason
from voxops.api.states import PostState, account_spelling, as_mark
from voxops.errors import PlanError
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


# What a create requests and what a post shows, in forms that can be compared (rule 10).


def asked_hash(body: Row) -> str:
    """Fingerprint of what is requested: all fields but metadata and content type, accounts as ids, in any order."""
    asked = {name: value for name, value in body.items() if name not in {"metadata", "accountIds", "contentType"}}
    return fingerprint("asked", asked, sorted(body.get("accountIds", ())))


def shown_of_body(body: Row) -> str:
    """Fingerprint of what a post shows that was created from this body; its accounts are ids."""
    return shown_hash(str(body["content"]), body["accountIds"], str(body["scheduledFor"]))


def shown_of_state(state: PostState) -> str | None:
    """Fingerprint of what a post shows; None where it does not show all of it."""
    if state.content is None or state.scheduled_for is None or not state.accounts:
        return None
    return shown_hash(state.content, state.accounts, state.scheduled_for)


def shown_hash(content: str, accounts: Sequence[str], when: str) -> str:
    """Fingerprint of content as it is read, accounts and minute."""
    moment = datetime.fromisoformat(when).astimezone(UTC).replace(second=0, microsecond=0)
    return fingerprint("shown", as_read(content), sorted(set(accounts)), moment.isoformat())


def resolved(item: Item, accounts: Mapping[str, str]) -> Item:
    """The item with account ids for names; one that is named twice, such as by its id and its name, is there once.

    In a request of its own Instagram needs a content type (contract: 8.1), which follows from the media; items of a batch have none.
    """
    ids = sorted({accounts.get(name, name) for name in item.requested.get("accountIds", ())})
    body, media = {**item.requested, "accountIds": ids}, item.requested.get("media")
    if item.path != BULK and media and any(account_spelling(f"instagram:{one}") in accounts for one in ids):
        body.setdefault("contentType", "CAROUSEL" if len(media) > 1 else "VIDEO" if item.seen.get("film") else "IMAGE")
    return replace(item, body=body)


class CreateAct(Act):
    """Rows share calls; each item of an answer counts by itself, and what was created is found by its mark."""

    name = "create"
    place = f"POST {BULK}"
    verb = "create"
    about: ClassVar[About] = "create"
    creates: ClassVar[bool] = True
    rounds = 0
    reverts = True
    bulk = True

    def form(self, items: Sequence[Item], state: PostState | None = None, wire: Wire = NO_WIRE) -> Form:  # noqa: ARG002
        """The rows in the order of their identities, however the sheet is sorted (rule 8), each with its marks."""
        rows = sorted(items, key=lambda item: item.identity)
        bodies = [_marked(item, wire) for item in rows]
        body = {"posts": bodies, "dryRun": False} if self.bulk else bodies[0]
        return Form("POST", rows[0].path, canonical(body), key_of(rows))

    def decodes(self, data: Any) -> bool:
        """A list of items."""
        return _results(data) is not None

    def is_of_another(self, requests: Requests, path: str, data: Row) -> bool:  # noqa: ARG002
        """An answer may show marks, of the post or of its items."""
        posts = [data, *(each.get("post") for each in _results(data) or () if isinstance(each, Mapping))]
        metadata = [post.get("metadata") for post in posts if isinstance(post, Mapping)]
        shown = {as_mark(each.get("voxopsOp")) for each in metadata if isinstance(each, Mapping)}
        return not shown <= {None, *(request.item.mark for request in requests)}

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

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:
        """Create what failed, as the next attempt."""
        return plan_create(failed, key=key, campaign=campaign, one_by_one=not self.bulk)


class _CreateOne(CreateAct):
    """Each row is a request of its own: safe where two laptops send overlapping sheets at once."""

    name = "create_one"
    place = "POST /v1/posts"
    bulk = False

    def decodes(self, data: Any) -> bool:
        """The post; an id with the status of something else, such as what a gateway has taken, is none."""
        if not isinstance(data, Mapping) or bears_error(data) or not isinstance(data.get("id") or None, str | int):
            return False
        return "status" not in data or str(data["status"]).lower() in POST_STATUSES

    def settle_answer(self, requests: Requests, data: Any, *, first: bool) -> list[Request]:  # noqa: ARG002
        """The post exists."""
        return [settled(request, Outcome.SUCCEEDED, result_id=str(data["id"])) for request in requests]

    def settle_refusal(self, requests: Requests, data: Any) -> list[Request]:  # noqa: ARG002
        """A refusal is about the row."""
        return []


CREATE, CREATE_ONE = CreateAct(), _CreateOne()


def _marked(item: Item, wire: Wire) -> dict[str, Any]:
    """What is sent for a row: what is requested, and the marks that find the post again (rule 10)."""
    marks = {
        "voxopsOp": item.mark,
        "voxopsRow": item.row_mark,
        "voxopsCampaign": keys.campaign_mark(item.campaign),
        "voxopsAsked": asked_hash(item.requested),
        "voxopsChanges": keys.field_marks({**NOTHING_ELSE, **item.requested}),
    }
    people = item.seen.get("people") or {}
    metadata: dict[str, Any] = {}
    for name in people.keys() & wire.people.keys():
        *path, last = wire.people[name].split(".")
        place = metadata
        for each in path:
            place = place.setdefault(each, {})
        place[last] = people[name]
    body = {**item.requested, "metadata": {**metadata, **marks}}
    return body | ({"media": item.media_ids} if "media" in body else {})


def read_items(data: Any) -> dict[int, dict[str, Any]]:
    """Read the answer to a batch by ``index`` (rule 12).

    Returns
    -------
    dict
        Index -> the result of an item; without those whose index or post is missing, doubled or says nothing. Empty where the first
        index is missing, since items may be counted from one.
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
            said = message or "the server gave no reason"
            items[index] = {"outcome": Outcome.FAILED, "error_code": code or "FAILED", "error_message": said}
    return items


def _results(data: Any) -> list[Any] | None:
    """The items of the answer to a batch: under ``results``, which may be within ``data`` or an error; None where there are none."""
    if not isinstance(data, Mapping):
        return None
    for name in ("results", "items"):
        if isinstance(data.get(name), list):
            return list(data[name])
    around = (_results(data.get(name)) for name in ("data", "error", "details"))
    return next((found for found in around if found is not None), None)


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
        The column that names a row for ever. The same row of the same campaign is created once, however often it is planned.
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
    if not isinstance(one_by_one, bool):
        raise PlanError(f"one_by_one= must be True or False, not {type(one_by_one).__name__}")
    accounts = [] if "account_ids" in getattr(sheet, "columns", ()) else ["accounts"]
    what, maker = "plan_create() needs a campaign", "Use vx.read_campaign(path)."
    need(sheet, ("content", "scheduled_for", *accounts), what, maker)
    if key not in sheet.columns:
        hint = "use reset_index()" if key in sheet.index.names else did_you_mean(key, map(str, sheet.columns))
        raise PlanError(f"key={key!r} names no column of the frame; {hint}")
    if key in _FILLED:
        raise PlanError(
            f"key={key!r} names a column that plans and results fill themselves; give it another name first"
        )
    warn_of_typos(sheet, OPTIONAL)
    written = _campaign_of(sheet, campaign)
    name = keys.campaign_name(written)
    act = CREATE_ONE if one_by_one else CREATE
    labels, twins, forced = row_names(sheet, key), flags(sheet, "twin"), flags(sheet, "force")
    names = [fingerprint("create", name, label) for label in labels]

    def judge(number: int, row: Row, reason: Reason | None) -> Judged:
        if reason is not None:
            return reason, None
        seen = {"campaign": name, "row": labels[number], "twin": twins[number]}
        seen |= {"force": True} if forced[number] else {}
        people = people_of(row)
        if campaign and written and keys.campaign_name(people.get("campaign", written)) == name:
            people["campaign"] = written
        seen |= {"people": people} if people else {}
        seen |= {"media": row["uploaded"]} if row["uploaded"] else {}
        seen |= {"film": True} if content_type_of((row["media"] or [""])[0]).startswith("video/") else {}
        item = Item(
            row=number,
            act=act.name,
            identity=names[number],
            attempt=attempt_in(row["attempt"]) or 1,
            subject=Subject("row", names[number]),
            path="/v1/posts" if one_by_one else BULK,
            seen=seen,
            body=_body_of(row),
            platform="+".join(sorted(set(platforms_of(row["accounts"])))),
        )
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
    body |= {name: value for name, value in (("media", media), ("tags", row["tags"])) if value}
    if own := own_texts(row):
        body["platformOverrides"] = {name.upper(): {"content": text} for name, text in own.items()}
    if row["first_comment"] is not None and str(row["first_comment"]).strip():
        body["firstComment"] = str(row["first_comment"])
    if row["content_type"] is not None and str(row["content_type"]).strip():
        body["contentType"] = str(row["content_type"]).strip().upper()
    return body


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
    known = frame.attrs.get("campaign")
    return "".join(names.values()) or (_in_one_line(known) if isinstance(known, str) else "")


def _campaign_in(value: Any) -> str:
    """The campaign in a cell; a number there is one that a file has made of a name, such as 2026.1 of 2026.10 (rule 5)."""
    if value is not None and not isinstance(value, str):
        raise PlanError(
            f"column 'campaign' holds {str(value)[:40]}, a {type(value).__name__} that a file has made of a name, and another name "
            "posts every row again; pass campaign=, or read the column as text"
        )
    return _in_one_line(value or "")


def _in_one_line(name: str) -> str:
    return " ".join(well_formed(name).split())


def row_names(frame: pd.DataFrame, key: str) -> list[str]:
    """The key column as canonical text, or a PlanError that shows what is missing or doubled."""
    try:
        names = [row_key(value) for value in plain_values(frame, key)]
    except PlanError as error:
        raise PlanError(f"column {key!r}: {error}") from None
    faults = {row: found[0].reason for row, found in enumerate(name_errors(names, frame)) if found}
    if faults:
        rows = [row for row in faults if faults[row] == next(iter(faults.values()))]
        known = Places.of(frame)
        numbers = known.numbers(frame)
        cells = [known.cell(numbers[row], key) for row in rows[:5]]
        where = f"frame.iloc[{rows[:5]}]" if None in cells else ", ".join(map(str, cells))
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        raise PlanError(f"column {key!r}: {faults[rows[0]]} ({where}{more})")
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
    known, rows = Places.of(frame), sheet_rows(frame)
    judged = zip(rows, errors_of_all(rows, names, meant), known.numbers(frame), strict=True)
    return [
        (row, errors[0].reason.at(known.cell(number, errors[0].column)) if errors else None)
        for row, errors, number in judged
    ]
