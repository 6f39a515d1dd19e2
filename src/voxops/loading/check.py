"""Check a campaign before anything is created: by the rules of sheets, then by the API (matrix row 13, read-only)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import loads
from voxops._support.eventloop import all_or_none
from voxops._support.safe import redact_address
from voxops.api.reasons import Reason
from voxops.errors import DecodeError, ValidationError
from voxops.frames.cells import is_missing
from voxops.frames.checks import flags, need, table_of, warn_of_typos
from voxops.frames.schemas import STRING_DTYPE, error_parts, to_bool
from voxops.loading.names import UNKNOWN, AccountNames, media_statuses, no_account, why_not_attached
from voxops.sheets.campaign import CAMPAIGN_COLUMNS, NEEDED, OPTIONAL
from voxops.sheets.collisions import Limits, Placed, collisions
from voxops.sheets.files import Places
from voxops.sheets.media import MediaFile, content_type_of
from voxops.sheets.rules import (
    PEOPLE,
    Finding,
    errors_of_all,
    is_media_id,
    name_errors,
    own_texts,
    people_of,
    picture_warnings,
    platforms_of,
    readable_time,
    row_names,
    sheet_rows,
    texts_without_account,
    warnings_of,
)

if TYPE_CHECKING:
    from voxops.client import AsyncClient

Row = Mapping[str, Any]  # of `sheet_rows`
_FINDING = dict.fromkeys(
    ("row", "row_id", "sheet_row", "cell", "platform", "column", "level", "code", "message"), STRING_DTYPE
) | {"row": "Int64", "sheet_row": "Int64"}
_ORDER = (*CAMPAIGN_COLUMNS, "content_type", *PEOPLE, "attempt", "")  # of the findings of a row, by column
_FIELDS = {"content": "content", "media": "media", "mediaIds": "media", "firstComment": "first_comment", "platforms": "accounts"}  # fmt: skip
_NOT_ASCII = re.compile(r".{0,20}[^\x00-\x7f].{0,19}", re.DOTALL)
_TWICE = {"duplicate_post", "row_id_doubled", "row_id_differs"}
_TEXTS = ("content", "first_comment")
_LISTED = ["platform", "username", "account_id", "status", "scope_status", "scope_message"]
_ENDPOINT = "POST /v1/posts/validate"


async def check(
    client: AsyncClient,
    sheet: pd.DataFrame,
    list_accounts: Callable[[], Awaitable[pd.DataFrame]] | None,
    checks: Mapping[str, Mapping[str, Any]],
    limits: Limits,
    list_waiting: Callable[[], Awaitable[pd.DataFrame]],
    sent: Collection[str],
    folder: str | Path | None,
) -> pd.DataFrame:
    """Return the findings for each row, without `list_accounts` only those that need no request; see ``ws.check``.

    `sent` are the columns of people that are sent, `folder` is where the sheet's files are.
    """
    need(sheet, NEEDED[1:], "ws.check() needs a campaign", "Use vx.read_campaign(path).")
    rows = await asyncio.to_thread(sheet_rows, sheet, reads=True, folder=folder)  # while runs go on
    found, names, placed = by_rules(sheet, rows, client.now()), AccountNames(()), []
    if "owner" not in sent:  # a campaign's name also tells rows apart
        for number in [number for number, row in enumerate(rows) if "owner" in people_of(row)][:1]:
            found[number].append(Finding("owner", "warning", Reason("people_not_sent", what="owner")))
    if list_accounts is not None:
        accounts = await list_accounts()
        named = {media for row in rows for media in _ids(row) if is_media_id(media)}
        media = await media_statuses(client, sorted(named))
        known = _Known(accounts, checks, media or {})
        ended = count(1)

        async def asked(row: Row) -> list[Finding]:
            answer = await _by_api(client, row, known)
            loads.current().reach(next(ended), len(rows), "rows")
            return answer

        answers = await all_or_none(map(asked, rows))
        found = [_together(ours, theirs) for ours, theirs in zip(found, answers, strict=True)]
        first = next((number for number, row in enumerate(rows) if named.intersection(_ids(row))), None)
        if media is None and first is not None:
            found[first].append(Finding("media", "warning", Reason("media_unread")))
        names, placed = known.names, _waiting(await list_waiting(), known.names)
    for number, one in collisions([*placed, *_planned(sheet, rows, found, names)], limits):
        found[number].append(one)
    return findings_table(sheet, found)


def _planned(
    sheet: pd.DataFrame, rows: Sequence[Row], found: Sequence[Sequence[Finding]], names: AccountNames
) -> Iterator[Placed]:
    """Yield the posts of a sheet; a row that is there twice is left out, since that is said of it."""
    for number, (row, label, of_row) in enumerate(zip(rows, row_names(sheet), found, strict=True)):
        when = readable_time(row["scheduled_for"])
        if when is None or any(one.code in _TWICE for one in of_row):
            continue
        name = f"the row at position {number}" if label is None else f"row {label[:40]}"
        for account in row["accounts"]:
            known = names.get(account) or account
            platform, *_ = names.listed.get(known) or platforms_of([account]) or [""]
            own = own_texts(row).get(platform, "")
            yield Placed(number, name, known, account, str(row["content"] or ""), when, own)


def _waiting(targets: pd.DataFrame, names: AccountNames) -> list[Placed]:
    """Return the posts that are scheduled already, as far as lists show when and where."""
    known = targets.dropna(subset=["account_id", "scheduled_for"])
    rows = known[["post_id", "account_id", "content", "scheduled_for"]].itertuples(index=False)
    return [
        Placed(None, f"the post {post}", account, names.called(account), "" if is_missing(text) else text, when)
        for post, account, text, when in rows
    ]


def by_rules(sheet: pd.DataFrame, rows: Sequence[Row], now: datetime | None) -> list[list[Finding]]:
    """Return the findings of the sheet rules for each of its rows, whose files were read; past times only with `now`."""
    warn_of_typos(sheet, OPTIONAL)
    names = row_names(sheet)
    named = name_errors(names, sheet) if "row_id" in sheet.columns else [[] for _ in names]
    judged = zip(rows, named, errors_of_all(rows, names, flags(sheet, "twin"), now), strict=True)
    found = [[*of_name, *of_row, *warnings_of(row)] for row, of_name, of_row in judged]
    for number, row in enumerate(rows):
        files = [one for one in row["found"].values() if isinstance(one, MediaFile) and row["uploaded"]]
        changed = [Reason("media_changed", value=one.name) for one in files if one.source not in row["uploaded"]]
        found[number] += [Finding("media", "warning", why) for why in changed]
    for number, row in enumerate(rows):
        if address := next(filter(None, (one.get("url") for one in _to_come(row))), None):
            found[number].append(
                Finding("media", "warning", Reason("media_imported", value=redact_address(address)[:100]))
            )
            break
    for code, value in json.loads(sheet.attrs.get("notes", "[]")) if found else ():
        found[0].append(Finding("", "warning", Reason(code, value=value)))
    texts = ((number, name, str(row[name] or "")) for number, row in enumerate(rows) for name in _TEXTS)
    # The first text whose letters depend on an encoding that was guessed.
    for number, name, text in texts if "guessed" in sheet.attrs else ():
        if shown := _NOT_ASCII.search(text):
            found[number].append(Finding(name, "warning", Reason("encoding_guessed", value=shown[0].strip())))
            break
    return found


def findings_table(sheet: pd.DataFrame, found: Sequence[Sequence[Finding]]) -> pd.DataFrame:
    """Return the findings of each row as a frame, in the order of the sheet and its columns."""
    known, names = Places.of(sheet), row_names(sheet)
    lines = [
        {
            "row": number, "row_id": name, "sheet_row": place, "cell": known.cell(place, one.column),
            "platform": one.platform or None, "column": one.column or None, "level": one.level, "code": one.code or None,
            "message": one.message,
        }
        for number, (name, place, of_row) in enumerate(zip(names, known.numbers(sheet), found, strict=True))
        for one in sorted(of_row, key=lambda one: _ORDER.index(one.column.partition(":")[0]))
    ]  # fmt: skip
    return table_of(lines, _FINDING)


def _together(ours: list[Finding], theirs: list[Finding]) -> list[Finding]:
    """Merge findings of the rules and of the API; of two with the same code, the error or else ours."""
    theirs = [one for one in theirs if not any(_covers(other, one) for other in ours)]
    return [*(one for one in ours if not any(_covers(other, one) for other in theirs)), *theirs]


def _covers(one: Finding, other: Finding) -> bool:
    """Whether a finding makes another one redundant."""
    same = bool(one.code) and one.code == other.code and one.platform in {"", other.platform}
    return same and (one.level == "error" or other.level == "warning")


class _Known:
    """What the workspace knows of the accounts and media that a sheet names.

    Parameters
    ----------
    accounts : pandas.DataFrame
        As the API lists them.
    checks : mapping
        Account id -> ``works check_message`` of its last check.
    media : mapping
        Media id -> its status; None for one that does not exist. Ids that could not be read are left out.
    """

    def __init__(
        self, accounts: pd.DataFrame, checks: Mapping[str, Mapping[str, Any]], media: Mapping[str, str | None]
    ) -> None:
        listed = [
            tuple("" if is_missing(each) else str(each) for each in row)
            for row in accounts[_LISTED].itertuples(index=False)
        ]
        self.names = AccountNames(
            ((platform, username, account, status or UNKNOWN) for platform, username, account, status, *_ in listed),
            whole=accounts.attrs["whole"],
            checks=checks,
        )
        self._may_lack = not accounts.attrs["whole"]  # said once
        self._scopes = {
            account: message or "none is named" for *_, account, _, scope, message in listed if scope == "degraded"
        }
        self._media = media

    def account(self, name: str) -> tuple[str, list[Finding]]:
        """Return the platform on which to check an account, else ``""``; and what is known against it."""
        account = self.names.get(name) or name
        platform, _, status = self.names.listed.get(account, ("", "", ""))
        if not platform and ":" not in name and not self.names.lacking([name]):
            first, self._may_lack = self._may_lack, False
            return "", [Finding("accounts", "warning", Reason("accounts_unread", account=name[:60]))] if first else []
        if not platform:
            said = no_account([name], self.names)
            named = name.partition(":")[0] if ":" in name else ""
            return "", [
                Finding("accounts", "error", Reason("account_unknown", words=said[:1].upper() + said[1:]), named)
            ]
        found = []
        if why := self.names.why_not(account, name):
            found.append(("error", why))
        elif message := self._scopes.pop(account, ""):  # said once, at the first of its rows
            found.append(("warning", Reason("account_degraded", account=name, message=message)))
        inactive = [Finding("accounts", level, reason, platform) for level, reason in found]
        return "" if status == "disconnected" else platform, inactive

    def media(self, name: str) -> Iterator[Finding]:
        """Yield why a media can't be attached."""
        if why := why_not_attached(name, self._media.get(name, "ready")):
            yield Finding("media", "error", why)


def _ids(row: Row) -> list[str]:
    """Return the media of a row that have ids."""
    return [*(name for name in row["media"] if name not in row["found"]), *row["uploaded"].values()]


async def _by_api(client: AsyncClient, row: Mapping[str, Any], known: _Known) -> list[Finding]:
    """Return the API's findings about one row: its accounts, and its post on each of their platforms."""
    looked_up = [known.account(name) for name in dict.fromkeys(row["accounts"])]
    found = [one for _, some in looked_up for one in some]
    found += [one for name in dict.fromkeys(_ids(row)) for one in known.media(name)]
    platforms = sorted({platform for platform, _ in looked_up if platform})
    by_id = set(platforms).difference(platforms_of(row["accounts"]))
    found += [one for platform in sorted(by_id) for one in picture_warnings(row, platform)]
    if len(by_id) and all(platform for platform, _ in looked_up):
        found += texts_without_account(row, platforms)
    comment, own, groups = row["first_comment"], own_texts(row), dict[str, list[str]]()
    for platform in platforms:
        groups.setdefault(own.get(platform, str(row["content"] or "")), []).append(platform)
    optional: dict[str, Any] = {"media_ids": _ids(row), "media": list(_to_come(row))}
    optional["first_comment"] = str(comment) if comment is not None and str(comment).strip() else ""
    optional = {name: value for name, value in optional.items() if value}
    for content, some in groups.items():
        try:
            said = await client.posts.validate(
                content=content, platforms=[platform.upper() for platform in some], **optional
            )
        except ValidationError as error:
            found.append(Finding("", "error", Reason(error.code or "validation_error", words=str(error))))
            continue
        answer = said.record
        results = _results(answer)
        for platform in some:
            judged = _verdict(platform, {"valid": answer.get("valid"), **(results.get(platform) or answer)})
            found += [_of_own(one) if platform in own else one for one in judged]
    return found


def _of_own(one: Finding) -> Finding:
    """A finding about the content that a platform has of its own."""
    return replace(one, column=f"content:{one.platform}") if one.column == "content" else one


def _to_come(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the media that are not uploaded or imported yet, as far as the API can check them before."""
    for one in () if row["uploaded"] else row["found"].values():
        if isinstance(one, Reason):  # said already
            yield {"type": "image"}
            continue
        kind = one.type if isinstance(one, MediaFile) else content_type_of(one)
        sort = "gif" if kind == "image/gif" else "video" if kind.startswith("video/") else "image"
        about = {"sizeBytes": one.size} if isinstance(one, MediaFile) else {"url": one}
        yield {"type": sort, **({"mimeType": kind} if kind else {}), **about}


def _results(answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the parts of a response by platform, whose names may have either case."""
    platforms = answer.get("platforms") or {}
    if not isinstance(platforms, Mapping) or not all(isinstance(each, Mapping | None) for each in platforms.values()):
        raise DecodeError(f"{_ENDPOINT} returned platforms that are not objects by name", endpoint=_ENDPOINT)
    return {str(name).lower(): result or {} for name, result in platforms.items()}


def _verdict(platform: str, result: Mapping[str, Any]) -> list[Finding]:
    """Return errors and warnings of one platform, in any shape."""
    found = []
    for level in ("error", "warning"):
        entries = result.get(f"{level}s")
        for entry in entries if isinstance(entries, list) else [entries]:
            code, message = error_parts(entry)
            if code or message:
                told = Reason(code or "", words=message or str(code))
                found.append(Finding(_column(entry, code or ""), level, told, platform))
    if not to_bool(result.get("valid")) and not any(one.level == "error" for one in found):
        found.append(Finding("", "error", Reason("not_valid"), platform))
    return found


def _column(entry: Any, code: str) -> str:
    """Return the sheet's column of an API error, ``""`` if unknown."""
    field = str(entry.get("field") or "") if isinstance(entry, Mapping) else ""
    return _FIELDS.get(field) or _FIELDS.get(code.partition("_")[0].lower(), "")
