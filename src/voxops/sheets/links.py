"""UTM parameters on the links of a sheet, so that a site's statistics tell which post a visitor came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit

import pandas as pd

from voxops._support.arguments import did_you_mean
from voxops.errors import PlanError
from voxops.frames.columns import need_columns, plain_values, warn_of_typos
from voxops.frames.schemas import STRING_DTYPE
from voxops.sheets.rules import own_texts, platforms_of, platforms_with_texts, sheet_rows

UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_BEFORE = "content_before"
_PLATFORM = "platform"  # the one name in a template that is no column
# Up to a blank, a quotation mark or bracket, a symbol, or punctuation of other scripts; a list of links without blanks is several.
_LINK = re.compile(
    r"(?<![A-Za-z0-9])https?://(?:(?![,;|]https?://)"
    r"[^\s<>\"“”«»`|\\^。，、！？；：（）「」『』【】《》\u200b-\u200f\u2060\u2190-\u2bff\ufe0f\ufeff\U0001f000-\U0001faff])+",
    re.IGNORECASE,
)
_BEHIND = ".,;:!?…'’"  # ends a sentence, not a link
_CLOSING = {")": "(", "]": "[", "}": "{"}


def tag_links(
    sheet: pd.DataFrame,
    *,
    source: str | None = None,
    medium: str | None = None,
    campaign: str | None = None,
    term: str | None = None,
    content: str | None = None,
) -> pd.DataFrame:
    """Return a campaign sheet with UTM parameters on its links.

    Parameters
    ----------
    sheet : pandas.DataFrame
        From ``vx.read_campaign``; it is not changed. Columns ``utm_source utm_medium utm_campaign utm_term utm_content`` win over the
        arguments where they have a value.
    source, medium, campaign, term, content : str, optional
        The value of each parameter: text, in which ``{column}`` stands for a cell of the row and ``{platform}`` for the platform on
        which the text appears, such as ``source="{platform}"``. A parameter that is named nowhere is not added.

    Returns
    -------
    pandas.DataFrame
        A copy with tagged links in ``content``, in texts for a platform such as ``content:twitter``, and in ``first_comment``;
        ``content_before`` (string) is the content where it has changed. Links are those with http or https. One that has a parameter
        keeps it, so that tagging twice changes nothing more. ``ws.check`` tells which texts have become too long.

    Raises
    ------
    PlanError
        If no parameter is named, a template can't be read or names no column, or a cell that it names is empty. Also if a text
        with links appears on several platforms: give each its text, or fill the parameter's column.

    Examples
    --------
    >>> tagged = vx.tag_links(sheet.assign(content="See https://a.example"), source="social", content="{row_id}")
    >>> tagged["content"].to_list()
    ['See https://a.example/?utm_source=social&utm_content=a', 'See https://a.example/?utm_source=social&utm_content=b']
    """
    need_columns(sheet, ["content"], "use vx.read_campaign(path)")
    warn_of_typos(sheet, UTM)
    given = dict(zip(UTM, (source, medium, campaign, term, content), strict=True))
    templates = {name: _parts(name, text, sheet) for name, text in given.items() if text is not None}
    if not templates and not set(UTM) & set(sheet.columns):
        raise PlanError(f"no parameter is named; pass source= or another one, or fill a column of {', '.join(UTM)}")
    tagger = _Tagger(sheet, templates)
    tagged = sheet.copy()
    texts = ["content", *(f"content:{name}" for name in platforms_with_texts(sheet.columns)), "first_comment"]
    for column in [name for name in texts if name in sheet.columns]:
        cells = [tagger.tagged(row, column, cell) for row, cell in enumerate(sheet[column])]
        dtype = sheet[column].dtype
        known = STRING_DTYPE if isinstance(dtype, pd.CategoricalDtype) else dtype
        tagged[column] = pd.Series(cells, index=sheet.index, dtype=known)
    pairs = zip(sheet["content"], tagged["content"], plain_values(sheet, _BEFORE), strict=True)
    before = [old if isinstance(old, str) and old != new else known for old, new, known in pairs]
    tagged[_BEFORE] = pd.Series(before, index=sheet.index, dtype=STRING_DTYPE)
    return tagged


_Parts = list[tuple[str, str | None]]  # of a template: text, and the name behind it


def _parts(name: str, template: object, sheet: pd.DataFrame) -> _Parts:
    """Return a template as texts and the names between them."""
    argument = f"{name.removeprefix('utm_')}={str(template)[:60]!r}"
    try:
        parts = list(Formatter().parse(template)) if isinstance(template, str) else None
    except ValueError:
        parts = None
    if parts is None or any(form or conversion for _, _, form, conversion in parts):
        raise PlanError(f"{argument} must be text in which {{column}} and {{platform}} stand for values of the row")
    names = {*map(str, sheet.columns), _PLATFORM}
    for _, field, _, _ in parts:
        if field is not None and field not in names:
            raise PlanError(f"{argument}: the sheet has no column {field!r}; {did_you_mean(field, names)}")
    return [(text, field) for text, field, _, _ in parts]


class _Tagger:
    """Tags the texts of a sheet."""

    def __init__(self, sheet: pd.DataFrame, templates: Mapping[str, _Parts]) -> None:
        self._templates = templates
        self._rows = sheet_rows(sheet)
        self._columns = {name: plain_values(sheet, name) for name in map(str, sheet.columns)}
        fields = {field for parts in templates.values() for _, field in parts}
        self._by_platform = _PLATFORM in fields - self._columns.keys()

    def tagged(self, row: int, column: str, cell: Any) -> Any:
        """Return a cell with the parameters on its links; any other cell as it is."""
        if not isinstance(cell, str) or not _LINK.search(cell):
            return cell
        if self._by_platform and self._platforms(row, column) == []:
            return cell  # each platform has a text of its own
        values = dict(self._values(row, column))
        return _LINK.sub(lambda found: _with(found, values), cell)

    def _platforms(self, row: int, column: str) -> list[str] | None:
        """Return the platforms on which a text appears; None where accounts are named by their ids."""
        _, own, platform = column.partition("content:")
        if own:
            return [platform]
        of_row = self._rows[row]
        platforms = platforms_of(of_row["accounts"])
        if len(platforms) < len(of_row["accounts"]) or not platforms:
            return None
        without = own_texts(of_row) if column == "content" else ()
        return sorted(set(platforms).difference(without))

    def _values(self, row: int, column: str) -> Iterator[tuple[str, str]]:
        """Yield the parameters of a text, with their values."""
        for name in UTM:
            cell = self._columns.get(name, {row: None})[row]
            value = "" if cell is None else str(cell).strip()
            if not value and name in self._templates:
                value = "".join(text + self._cell(name, row, column, field) for text, field in self._templates[name])
            if value:
                yield name, value

    def _cell(self, name: str, row: int, column: str, field: str | None) -> str:
        """Return what stands in a template at this name."""
        if field is None:
            return ""
        if field in self._columns:
            cell = self._columns[field][row]
            if cell is None or not str(cell).strip():
                raise PlanError(f"row {row}: {{{field}}} of {name} is empty; fill the cell, or a column {name}")
            return str(cell).strip()
        platforms = self._platforms(row, column)
        if platforms is None or len(platforms) > 1:
            said = "accounts by their ids name no platform" if platforms is None else f"on {' and '.join(platforms)}"
            text = "a text for each, such as content:twitter" if column == "content" else "one platform a row"
            raise PlanError(f"row {row}: {{platform}} of {name} in {column}: {said}; {text}, or a column {name}")
        return platforms[0]


def _with(found: re.Match[str], values: Mapping[str, str]) -> str:
    """Return a link with the parameters that it does not have, before its fragment; what is no link as it is."""
    link = _trimmed(found)
    try:
        parts = urlsplit(link)
        _ = parts.port  # raises if it is none
    except ValueError:
        return found[0]
    if not parts.hostname:
        return found[0]
    address, mark, fragment = link.partition("#")
    has = {unquote_plus(part.partition("=")[0]).lower() for part in re.split("[&;]", parts.query)}
    new = "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items() if name not in has)
    if not new:
        return found[0]
    if "?" not in address:
        address += "?" if parts.path else "/?"
    elif not address.endswith(("?", "&")):
        address += "&"
    return f"{address}{new}{mark}{fragment}{found[0][len(link) :]}"


def _trimmed(found: re.Match[str]) -> str:
    """Return a link without the punctuation behind it, and without brackets and marks that have begun before it."""
    link, start = found[0], found.start()
    before = found.string[start - 1 : start]
    while link:
        last = link[-1]
        opening = _CLOSING.get(last)
        unopened = opening is not None and link.count(last) > link.count(opening)
        if not (last in _BEHIND or unopened or (last == before and last in "*_~")):
            break
        link = link[:-1]
    return link
