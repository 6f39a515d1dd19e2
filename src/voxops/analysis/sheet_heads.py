"""The heads of a campaign sheet as columns of ours, and what to do where one is missing, unknown or stands elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from voxops._core.arguments import near
from voxops._core.spreadsheets import unguard
from voxops.analysis.sheet_file import Sheet
from voxops.errors import ConfigError, PlanError
from voxops.frames.spans import zone

__all__ = ["CAMPAIGN_COLUMNS", "IN_PARTS", "NEEDED", "OPTIONAL", "names_of", "zone_in_heads"]

CAMPAIGN_COLUMNS = ("row_id", "content", "accounts", "scheduled_for", "media", "first_comment", "tags")
NEEDED = CAMPAIGN_COLUMNS[:4]
IN_PARTS = ("date", "time")  # the columns that stand for scheduled_for in a sheet that has none
_FURTHER = ("content_type", "campaign", "owner", "twin", "attempt")  # what plans and views read where a sheet has it
OPTIONAL = (*CAMPAIGN_COLUMNS[4:], "content_type", "twin", "attempt")
_OURS = (*CAMPAIGN_COLUMNS, *IN_PARTS, *_FURTHER)
_NAMES_ROWS = re.compile(
    r"(?:(?:row|line|post|zeilen?|beitrags?|lfd)[\W_]*)?(?:id|no|nr|num|number|nummer|key|row|zeile|code|ref|#)\W*",
    re.IGNORECASE,
)
_ZONED = re.compile(r"(.*\S)\s+\(([A-Za-z][\w+-]*(?:/[\w+-]+)*)\)", re.DOTALL)  # as our own files name columns of times


def names_of(read: Sheet, path: str | Path, columns: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Column names in lower case with underscores, and the zone that some say, as ``scheduled_for (UTC)``.

    A PlanError names what is wrong with them.
    """
    for ours in map(str, columns.values()):
        meant = None if _tidy(ours) in _OURS else near(_tidy(ours), _OURS)
        if meant:  # another name is a further column's
            raise PlanError(
                f"columns= names {ours!r}, which is no column of ours; did you mean {meant!r}? Ours are {', '.join(_OURS)}."
            )
    wanted = {_tidy(theirs): _tidy(ours) for theirs, ours in columns.items()}
    names, zones = _named(read.header, wanted)
    while names and not names[-1]:
        names.pop()
    found_names = ", ".join(dict.fromkeys(filter(None, map(_shown, read.header))))[:200] or "none"
    heads = {_tidy(head) for head in read.header} | {_parted(head)[0] for head in read.header}
    absent = [theirs for theirs in columns if _tidy(theirs) not in heads]
    if absent:
        said = f"columns= names {', '.join(map(str, absent))}, which {path} does not have. It has: {found_names}."
        raise PlanError(said + _elsewhere(read, wanted))
    missing = [name for name in NEEDED if name not in _with_times(names)]
    if missing:
        said = f"{path} has no column {', '.join(missing)}. It has: {found_names}."
        raise PlanError(said + (_elsewhere(read, wanted) or _renamed(read, wanted, missing)))
    doubled = [name or "without a name" for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise PlanError(f"{path} has the column {', '.join(doubled)} more than once; rename one of them.")
    return names, zones


def zone_in_heads(path: str | Path, zones: Mapping[str, str], columns: Sequence[str]) -> str | None:
    """The zone that the heads of the columns of times say."""
    found = {zones[name] for name in columns if name in zones}
    if len(found) > 1:
        raise PlanError(f"{path}: the heads of date and time name two zones, {' and '.join(sorted(found))}; name one.")
    return next(iter(found), None)


def _elsewhere(read: Sheet, wanted: Mapping[str, str]) -> str:
    """In which of the first rows the heads seem to stand, as a hint for the error; nothing is taken for them."""
    known = {number: len(set(NEEDED) & _with_times(_named(row, wanted)[0])) for number, row in read.top}
    here = len(set(NEEDED) & _with_times(_named(read.header, wanted)[0]))
    best = max(known, key=lambda number: known[number], default=0)
    if best and known[best] > max(here, 1):
        return f" The heads seem to stand in row {best}: read_campaign(path, header={best})."
    # A title that is merged over several cells is the same text in each of them.
    if read.rows and _differing(read.header) < 2:
        row = next((number for number, row in read.top if _differing(row) > 1), 2)
        return f" If the heads stand in another row, say in which, as a spreadsheet numbers it: read_campaign(path, header={row})."
    return ""


def _differing(row: Sequence[str]) -> int:
    """How many different texts a row has."""
    return len(set(filter(None, map(_tidy, row))))


def _with_times(names: Sequence[str]) -> set[str]:
    """The columns that a sheet has, or that are made of those."""
    return {*names, "scheduled_for"} if set(IN_PARTS) <= set(names) else set(names)


def _renamed(read: Sheet, wanted: Mapping[str, str], missing: Sequence[str]) -> str:
    """How to say under which name a column is there, of the heads that are none of ours yet; and how rows get names."""
    names = dict(zip(_named(read.header, wanted)[0], map(_shown, read.header), strict=True))
    left = [head[:60] for name, head in names.items() if name and name not in _OURS]
    pairs = [(head, "row_id") for head in left if "row_id" in missing and _NAMES_ROWS.fullmatch(head)]
    pairs += [(head, name) for head in left for name in missing if name != "row_id"]
    said = ""
    if pairs:
        said = f" Where a column has another name, say which is meant, such as columns={dict(pairs[:1])}."
    if "scheduled_for" in missing and (left or names.keys() & set(IN_PARTS)):
        said += " Day and hour in two columns are called date and time."
    if "row_id" in missing and any(names) and "row_id" not in dict(pairs[:1]).values():
        said += " row_id names each row: add such a column, with names that stay where rows are sorted or added."
    return said


def _named(heads: Sequence[str], wanted: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Heads as names of ours, and the zone that some say."""
    names, zones = [], {}
    for head in heads:
        bare, place = _parted(head)
        # An analyst may name the column with its zone or without it; the zone holds either way.
        names.append(wanted.get(_tidy(head), wanted.get(bare, bare)))
        if place:
            zones[names[-1]] = place
    return names, zones


def _parted(head: str) -> tuple[str, str]:
    """A head as a name of ours and the zone that it says, as in ``scheduled_for (Europe/Berlin)``; ``""`` where it says none."""
    found = _ZONED.fullmatch(head.strip())
    return (_tidy(found[1]), found[2]) if found is not None and _is_zone(found[2]) else (_tidy(head), "")


def _tidy(name: str) -> str:
    """A column's name as we write it."""
    return _shown(name).lower().replace(" ", "_")


def _shown(name: str) -> str:
    """A column's name as the sheet writes it, in one line."""
    return " ".join(unguard(str(name)).split())


def _is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        zone(name)
    except ConfigError:
        return False
    return True
