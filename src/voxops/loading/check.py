"""Check a campaign before anything is created: by the rules of sheets, then by the API (matrix row 13, read-only)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import loads
from voxops._support.eventloop import all_or_none
from voxops._support.safe import redact_address
from voxops.api.reasons import Reason
from voxops.errors import DecodeError, ValidationError
from voxops.frames.checks import flags, need, table_of, warn_of_typos
from voxops.frames.schemas import STRING_DTYPE, error_parts, to_bool
from voxops.loading.accounts import AccountNames, media_statuses, why_not_attached
from voxops.sheets.campaign import CAMPAIGN_COLUMNS, NEEDED, OPTIONAL
from voxops.sheets.files import Places
from voxops.sheets.media import MediaFile, content_type_of
from voxops.sheets.rules import (
    PEOPLE,
    Finding,
    Limits,
    Placed,
    collisions,
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
Lists = Callable[[], Awaitable[pd.DataFrame]]
_FINDING = dict.fromkeys(
    ("rows", "row_id", "sheet_row", "cell", "platform", "column", "level", "code", "message"), STRING_DTYPE
) | {"rows": object, "sheet_row": "Int64"}
_ORDER = (*CAMPAIGN_COLUMNS, "content_type", *PEOPLE, "attempt", "")  # of the findings of a row, by column
_FIELDS = {"content": "content", "media": "media", "mediaIds": "media", "firstComment": "first_comment", "platforms": "accounts"}  # fmt: skip
_NOT_ASCII = re.compile(r".{0,20}[^\x00-\x7f].{0,19}", re.DOTALL)
_ENDPOINT = "POST /v1/posts/validate"


async def check(
    client: AsyncClient,
    sheet: pd.DataFrame,
    lists: tuple[Lists, Lists] | None,
    checks: Mapping[str, Mapping[str, Any]],
    limits: Limits,
    sent: Collection[str],
    folder: str | Path | None,
) -> pd.DataFrame:
    """Return the findings for each row; see ``ws.check``.

    `lists` load the accounts and the targets that wait; without them nothing is requested. `sent` are the columns of people that are
    sent, `folder` is where the sheet's files are.
    """
    need(sheet, NEEDED[1:], "ws.check() needs a campaign", "Use vx.read_campaign(path).")
    rows = await asyncio.to_thread(sheet_rows, sheet, reads=True, folder=folder)  # while runs go on
    found, names, placed = by_rules(sheet, rows, client.now()), AccountNames(), []
    if "owner" not in sent:  # a campaign's name also tells rows apart
        unsent = Finding("owner", "warning", Reason("people_not_sent", what="owner"))
        for row, of_row in zip(rows, found, strict=True):
            if "owner" in people_of(row):
                of_row.append(unsent)
    if lists is not None:
        list_accounts, list_waiting = lists
        names = AccountNames(await list_accounts(), checks)
        named = {media for row in rows for media in _ids(row) if is_media_id(media)}
        media = await media_statuses(client, sorted(named))
        _by_lists(rows, found, names, media or {})
        if media is None:
            unread = Finding("media", "warning", Reason("media_unread"))
            for row, of_row in zip(rows, found, strict=True):
                if named.intersection(_ids(row)):
                    of_row.append(unread)
        ended = count(1)

        async def answers(row: Row, ours: list[Finding]) -> list[Finding]:
            theirs = await _by_api(client, row, names)
            loads.current().reach(next(ended), len(rows), "rows")
            theirs = [finding for finding in theirs if not any(_covers(other, finding) for other in ours)]
            return [*(finding for finding in ours if not any(_covers(other, finding) for other in theirs)), *theirs]

        found = await all_or_none(map(answers, rows, found))
        placed = _waiting(await list_waiting(), names)
    for number, finding in collisions([*placed, *_planned(sheet, rows, found, names)], limits):
        found[number].append(finding)
    return findings_table(sheet, found)


def _once(found: Sequence[list[Finding]], of_rows: Iterator[tuple[int, Finding]]) -> None:
    """Add a finding to the first of its rows."""
    for number, finding in islice(of_rows, 1):
        found[number].append(finding)


def _covers(finding: Finding, other: Finding) -> bool:
    """Whether a finding makes another one redundant: the rules and the API may find the same."""
    same = bool(finding.code) and finding.code == other.code and finding.platform in {"", other.platform}
    return same and (finding.level == "error" or other.level == "warning")


def _planned(
    sheet: pd.DataFrame, rows: Sequence[Row], found: Sequence[Sequence[Finding]], names: AccountNames
) -> Iterator[Placed]:
    """Yield the posts of a sheet, without rows that appear twice."""
    twice = {"duplicate_post", "row_id_doubled", "row_id_differs"}
    for number, (row, label, of_row) in enumerate(zip(rows, row_names(sheet), found, strict=True)):
        when = readable_time(row["scheduled_for"])
        if when is None or any(finding.code in twice for finding in of_row):
            continue
        name = f"the row at position {number}" if label is None else f"row {label[:40]}"
        for account in row["accounts"]:
            id_ = names.get(account, account)
            own = own_texts(row).get(names.platform(id_) or "".join(platforms_of([account])), "")
            yield Placed(number, name, id_, account, str(row["content"] or ""), when, own)


def _waiting(targets: pd.DataFrame, names: AccountNames) -> list[Placed]:
    """Return the posts that are scheduled already, as far as lists show when and where."""
    known = targets.dropna(subset=["account_id", "scheduled_for"]).fillna({"content": ""})
    rows = known[["post_id", "account_id", "content", "scheduled_for"]].itertuples(index=False)
    return [
        Placed(None, f"the post {post}", account, names.called(account), text, when)
        for post, account, text, when in rows
    ]


def by_rules(sheet: pd.DataFrame, rows: Sequence[Row], now: datetime | None) -> list[list[Finding]]:
    """Return the findings of the sheet rules for each of its rows, whose files were read; past times only with `now`."""
    warn_of_typos(sheet, OPTIONAL)
    names = row_names(sheet)
    named: Iterable[list[Finding]] = name_errors(names, sheet) if "row_id" in sheet.columns else repeat([], len(names))
    judged = zip(rows, named, errors_of_all(rows, names, flags(sheet, "twin"), now), strict=True)
    found = [[*of_name, *of_row, *warnings_of(row)] for row, of_name, of_row in judged]
    for row, of_row in zip(rows, found, strict=True):
        files = [media for media in row["found"].values() if isinstance(media, MediaFile) and row["uploaded"]]
        changed = [Reason("media_changed", value=file.name) for file in files if file.source not in row["uploaded"]]
        of_row += [Finding("media", "warning", reason) for reason in changed]
    addresses = ((number, about["url"]) for number, row in enumerate(rows) for about in _to_come(row) if "url" in about)
    imported = ((number, Reason("media_imported", value=redact_address(url)[:100])) for number, url in addresses)
    _once(found, ((number, Finding("media", "warning", reason)) for number, reason in imported))
    notes = [Reason("rows_skipped", value=sheet.attrs["skipped"])] if "skipped" in sheet.attrs else []
    notes += [Reason("layout_hidden", value=sheet.attrs["hidden"])] if "hidden" in sheet.attrs else []
    for of_row in found[:1]:
        of_row += [Finding("", "warning", note) for note in notes]
    if "guessed" in sheet.attrs:  # shows the first text whose letters depend on the encoding
        texts = ((number, name, row[name]) for number, row in enumerate(rows) for name in ("content", "first_comment"))
        odd = ((number, name, _NOT_ASCII.search(str(text or ""))) for number, name, text in texts)
        shown = (
            (number, name, Reason("encoding_guessed", value=part[0].strip())) for number, name, part in odd if part
        )
        _once(found, ((number, Finding(name, "warning", reason)) for number, name, reason in shown))
    return found


def findings_table(sheet: pd.DataFrame, found: Sequence[Sequence[Finding]]) -> pd.DataFrame:
    """Return the findings as a frame, in the order of the sheet and its columns; the same finding of several rows is one."""
    known, names = Places.of(sheet), row_names(sheet)
    numbers, rows_of = known.numbers(sheet), dict[Finding, list[int]]()
    for number, of_row in enumerate(found):
        for finding in sorted(
            set(of_row), key=lambda finding: (_ORDER.index(finding.column.partition(":")[0]), of_row.index(finding))
        ):
            rows_of.setdefault(finding, []).append(number)
    lines = [
        {
            "rows": rows, "row_id": names[rows[0]], "sheet_row": numbers[rows[0]],
            "cell": known.cells([numbers[row] for row in rows], finding.column),
            "platform": finding.platform or None, "column": finding.column or None, "level": finding.level,
            "code": finding.code or None, "message": finding.message,
        }
        for finding, rows in rows_of.items()
    ]  # fmt: skip
    return table_of(lines, _FINDING)


def _by_lists(
    rows: Sequence[Row], found: Sequence[list[Finding]], names: AccountNames, media: Mapping[str, str | None]
) -> None:
    """Add what the lists of accounts and media show: which can't publish or be attached, as `Facts.why_unusable` blocks it."""
    for row, of_row in zip(rows, found, strict=True):
        misspelt = {value for fault in of_row if fault.code == "account_form" for _, value in fault.reason.params}
        for name in dict.fromkeys(row["accounts"]):
            if name[:60] in misspelt:  # its own finding says so, and what was meant
                continue
            id_ = names.get(name, name)
            account = names.listed.get(id_)
            platform, reason, level = names.platform(id_), names.why_not(id_), "error"
            if account is None and ":" not in name and not names.lacking([name]):
                reason, level = Reason("accounts_unread", account=name[:60]), "warning"
            elif account is None:
                platform, unknown = name.partition(":")[0] if ":" in name else "", names.unknown([name])
                reason = Reason("account_unknown", words=unknown[:1].upper() + unknown[1:])
            elif reason is None and account.scope_status == "degraded":
                message = account.scope_message or "none is named"
                reason, level = Reason("account_degraded", account=names.called(id_), message=message), "warning"
            if reason is not None:
                of_row.append(Finding("accounts", level, reason, platform))
        for name in dict.fromkeys(_ids(row)):
            if why := why_not_attached(name, media.get(name, "ready")):
                of_row.append(Finding("media", "error", why))


def _ids(row: Row) -> list[str]:
    """Return the media of a row that have ids."""
    return [*(name for name in row["media"] if name not in row["found"]), *row["uploaded"].values()]


async def _by_api(client: AsyncClient, row: Row, names: AccountNames) -> list[Finding]:
    """Return the API's findings about the post of a row on each platform of its accounts, and those of rules that need these platforms."""
    ids = [names.get(name, name) for name in row["accounts"]]
    usable = [names.platform(id_) for id_ in ids if id_ in names.listed and names.listed[id_].status != "disconnected"]
    platforms = sorted({*usable} - {""})
    by_id = sorted(set(platforms).difference(platforms_of(row["accounts"])))
    found = [finding for platform in by_id for finding in picture_warnings(row, platform)]
    if by_id and len(usable) == len(ids):
        found += texts_without_account(row, platforms)
    own, groups = own_texts(row), dict[str, list[str]]()
    for platform in platforms:
        groups.setdefault(own.get(platform, str(row["content"] or "")), []).append(platform)
    optional: dict[str, Any] = {"media_ids": _ids(row), "media": list(_to_come(row))}
    comment = "" if row["first_comment"] is None else str(row["first_comment"])
    optional |= {"first_comment": comment if comment.strip() else ""}
    optional = {name: value for name, value in optional.items() if value}
    for content, some in groups.items():
        try:
            answer = await client.posts.validate(content=content, platforms=list(map(str.upper, some)), **optional)
        except ValidationError as error:
            found.append(Finding("", "error", Reason(error.code or "validation_error", words=str(error))))
            continue
        results = answer.record.get("platforms") or {}
        if not isinstance(results, Mapping) or not all(isinstance(each, Mapping | None) for each in results.values()):
            raise DecodeError(f"{_ENDPOINT} returned platforms that are not objects by name", endpoint=_ENDPOINT)
        results = {str(name).lower(): result for name, result in results.items()}  # in either case
        for platform in some:
            result = {"valid": answer.record.get("valid"), **(results.get(platform) or answer.record)}
            found += _verdict(platform, result, f"content:{platform}" if platform in own else "content")
    return found


def _to_come(row: Row) -> Iterator[dict[str, Any]]:
    """Yield the media that are not uploaded or imported yet, as far as the API can check them before."""
    for media in () if row["uploaded"] else row["found"].values():
        if isinstance(media, Reason):  # a finding of its own
            yield {"type": "image"}
            continue
        kind = media.type if isinstance(media, MediaFile) else content_type_of(media)
        sort = "gif" if kind == "image/gif" else "video" if kind.startswith("video/") else "image"
        about = {"sizeBytes": media.size} if isinstance(media, MediaFile) else {"url": media}
        yield {"type": sort, **({"mimeType": kind} if kind else {}), **about}


def _verdict(platform: str, result: Mapping[str, Any], text: str) -> list[Finding]:
    """Return errors and warnings of one platform, in any shape; `text` is the column of its content."""
    found = []
    for level in ("error", "warning"):
        entries = result.get(f"{level}s")
        for entry in entries if isinstance(entries, list) else [entries]:
            code, message = error_parts(entry)
            if code or message:
                field = str(entry.get("field") or "") if isinstance(entry, Mapping) else ""
                column = _FIELDS.get(field) or _FIELDS.get((code or "").partition("_")[0].lower(), "")
                reason = Reason(code or "", words=message or str(code))
                found.append(Finding(text if column == "content" else column, level, reason, platform))
    if not to_bool(result.get("valid")) and not any(finding.level == "error" for finding in found):
        found.append(Finding("", "error", Reason("not_valid"), platform))
    return found
