"""Letting the API check a campaign before anything is created (matrix row 13, read-only)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.eventloop import all_or_none
from voxops.client import AccountNames, account_names
from voxops.client.names import no_account
from voxops.errors import DecodeError, ValidationError
from voxops.frames.columns import flags, need_columns, plain_values
from voxops.frames.schemas import STRING_DTYPE, error_parts, to_bool
from voxops.sheets.files import Places
from voxops.sheets.rules import Finding, errors_of_all, name_errors, row_names, sheet_rows, split_list, warnings_of

if TYPE_CHECKING:
    from voxops.client import AsyncClient


@dataclass(frozen=True, slots=True)
class _Checked:
    """What the API says of one row on one platform."""

    row_id: str
    platform: str
    valid: bool
    errors: str = ""
    warnings: str = ""
    account_ids: tuple[str, ...] = ()


async def validate(client: AsyncClient, frame: pd.DataFrame) -> pd.DataFrame:
    """Check each row on each of its platforms; see ``ws.validate``."""
    need_columns(frame, ("content", "accounts", "scheduled_for"), "use vx.read_campaign(path)")
    names = await account_names(client)
    platforms = {account: name.partition(":")[0] for name, account in names.items()}
    accounts = [[names.get(part, part) for part in split_list(value)] for value in plain_values(frame, "accounts")]
    labels = [str(label) for label in (frame["row_id"] if "row_id" in frame.columns else frame.index)]
    rows = zip(labels, accounts, _posts(frame), strict=True)
    strangers = {name for row in accounts for name in row if name not in platforms}
    missing = await _missing(client, strangers, names)
    answers = await all_or_none(_validate_row(client, *row, missing, platforms) for row in rows)
    found = _found(client, frame)
    pairs = [(line, *one) for answer, one in zip(answers, found, strict=True) for line in answer]
    table = [
        replace(
            line,
            valid=line.valid and not errors,
            errors=_joined(_texts(errors, cells), line.errors),
            warnings=_joined(
                _texts([one for one in warned if one.platform in {"", line.platform}], cells), line.warnings
            ),
        )
        for line, errors, warned, cells, _ in pairs
    ]
    return pd.DataFrame(
        {
            "row_id": pd.array([line.row_id for line in table], dtype=STRING_DTYPE),
            "platform": pd.array([line.platform for line in table], dtype=STRING_DTYPE),
            "valid": pd.array([line.valid for line in table], dtype="boolean"),
            "errors": pd.array([line.errors for line in table], dtype=STRING_DTYPE),
            "warnings": pd.array([line.warnings for line in table], dtype=STRING_DTYPE),
            "account_ids": pd.Series([line.account_ids for line in table], dtype=object),
            "sheet_row": pd.array([number for *_, number in pairs], dtype="Int64"),
        }
    )


async def _missing(client: AsyncClient, strangers: set[str], names: AccountNames) -> dict[str, str]:
    """Why accounts that a sheet names are none that can be posted to: nobody has them, or they are disconnected."""
    if not strangers:
        return {}
    every = await account_names(client, disconnected=True)
    ids = set(every.values())
    closed = {name for name in strangers if every.bearing(name) or name in ids}
    return {
        name: f"account {name} is disconnected; connect it again, or name another"
        if name in closed and not names.bearing(name)
        else no_account([name], names)
        for name in strangers
    }


def _posts(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What the API would get for each row's post."""
    columns = (plain_values(frame, name) for name in ("content", "media", "first_comment"))
    return [
        {
            "content": str(content or ""),
            "media_ids": split_list(media) or None,
            "first_comment": str(comment) if comment is not None and str(comment).strip() else None,
        }
        for content, media, comment in zip(*columns, strict=True)
    ]


_Found = tuple[list[Finding], list[Finding], Callable[[str], str | None], int | None]


def _found(client: AsyncClient, frame: pd.DataFrame) -> list[_Found]:
    """What the rules of sheets say of each row, which the API is not asked about: errors, warnings, cells and the row of the sheet."""
    known, names, rows = Places.of(frame), row_names(frame), sheet_rows(frame)
    named = name_errors(names) if "row_id" in frame.columns else [[] for _ in names]
    judged = errors_of_all(rows, names, flags(frame, "twin"), client.now())
    return [
        ([*of_name, *of_row], list(warnings_of(row)), partial(known.cell, number), number)
        for row, of_row, of_name, number in zip(rows, judged, named, known.numbers(frame), strict=True)
    ]


def _texts(findings: Iterable[Finding], cells: Callable[[str], str | None]) -> list[str]:
    """Findings as texts, each with its cell."""
    return [f"{one.code}: {one.message}" + (f" ({cell})" if (cell := cells(one.column)) else "") for one in findings]


def _joined(ours: Sequence[str], theirs: str) -> str:
    """Errors or warnings of a row, each code once."""
    known = {text.partition(":")[0] for text in ours}
    others = [text for text in theirs.split("; ") if text and text.partition(":")[0].lower() not in known]
    return "; ".join([*ours, *others])


async def _validate_row(
    client: AsyncClient,
    label: str,
    accounts: list[str],
    post: Mapping[str, Any],
    missing: Mapping[str, str],
    platforms: Mapping[str, str],
) -> list[_Checked]:
    """One row's answers, one per platform; a name that is no account is an error of its own."""
    checked = [
        _Checked(label, name.partition(":")[0].lower() if ":" in name else "", False, missing[name])
        for name in accounts
        if name not in platforms
    ]
    ids: dict[str, tuple[str, ...]] = {}
    for account in accounts:
        if account in platforms:
            ids[platforms[account]] = (*ids.get(platforms[account], ()), account)
    if not ids:
        return checked or [_Checked(label, "", False, "no account")]
    try:
        answer = await client.posts.validate(platforms=[name.upper() for name in sorted(ids)], **post)
    except ValidationError as error:
        return [
            *checked,
            *(_Checked(label, name, False, str(error), account_ids=ids[name]) for name in sorted(ids)),
        ]
    results = _results(answer)
    for name in sorted(ids):
        result = results.get(name) or answer
        valid = bool(to_bool(result.get("valid", answer.get("valid"))))
        errors, warnings = _messages(result.get("errors")), _messages(result.get("warnings"))
        checked.append(_Checked(label, name, valid, errors, warnings, ids[name]))
    return checked


def _results(answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What an answer says of each platform, whose names come in either case."""
    platforms = answer.get("platforms") or {}
    if not isinstance(platforms, Mapping) or not all(isinstance(each, Mapping | None) for each in platforms.values()):
        endpoint = "POST /v1/posts/validate"
        raise DecodeError(f"{endpoint} answered with platforms that are no objects by their names", endpoint=endpoint)
    return {str(name).lower(): result or {} for name, result in platforms.items()}


def _messages(entries: Any) -> str:
    """Errors or warnings, whatever shape each has, as one line of text."""
    parts = [error_parts(entry) for entry in (entries if isinstance(entries, list) else [entries])]
    return "; ".join(": ".join(filter(None, each)) for each in parts if any(each))
