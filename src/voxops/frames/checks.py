"""What a passed frame must have, and its columns as plain values: one error names what is missing and what looks like it.

The ledger keeps the frame of a plan as JSON: no pickle, whose bytes would run code.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from voxops._support.arguments import near
from voxops._support.canonical import decode, json_text
from voxops.errors import LedgerError, PlanError
from voxops.frames.cells import Json, Targets, is_missing
from voxops.frames.schemas import STRING_DTYPE, to_bool
from voxops.frames.times import TIME_DTYPE, parse_times

_DTYPES: dict[str, Any] = {
    "bool": "bool",
    "boolean": "boolean",
    "Int64": "Int64",
    "float64": "float64",
    "text": STRING_DTYPE,
    "str": "str",
    "time": TIME_DTYPE,
}
_CELLS = {"json": Json, "targets": Targets}


def need(frame: object, columns: Iterable[str], what: str, maker: str, *, times: Iterable[str] = ()) -> pd.DataFrame:
    """Return the frame, or raise a PlanError that names what it lacks and what looks like it.

    Parameters
    ----------
    frame : object
        The argument.
    columns : iterable of str
        The required columns.
    what : str
        The requirement, such as ``triage() needs a targets frame``.
    maker : str
        The call that returns one, as a sentence.
    times : iterable of str
        The columns of times. An empty one, whose dtype a file loses, gets the dtype of times in the returned frame.
    """
    if not isinstance(frame, pd.DataFrame):
        if callable(getattr(type(frame), "made", None)):
            maker = "Use run.failed() for its failed rows, or run.made() for the posts that it created."
        kind = type(frame)
        library = "" if kind.__module__.startswith(("builtins", "voxops")) else f"{kind.__module__.partition('.')[0]}."
        raise PlanError(f"{what}, not {'None' if frame is None else library + kind.__name__}. {maker}")
    if frame.columns.nlevels > 1:
        raise PlanError(f"{what}; its columns have several levels, as after agg or pivot: flatten them. {maker}")
    wanted = list(columns)
    if missing := [_missing(frame, name, wanted) for name in wanted if name not in frame.columns]:
        raise PlanError(f"{what}; missing: {', '.join(missing)}. {maker}")
    if twice := sorted(set(wanted).intersection(frame.columns[frame.columns.duplicated()])):
        raise PlanError(f"{what}; it has column {', '.join(twice)} twice: drop or rename one.")
    lost = [name for name in times if not isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    for name in lost:
        if frame[name].notna().any():
            advice = f"Read them with pd.to_datetime(frame[{name!r}], utc=True)."
            raise PlanError(f"{what}; {name} has dtype {frame[name].dtype}, not times with a zone. {advice}")
    return frame.assign(**{name: pd.Series(pd.NaT, frame.index, TIME_DTYPE) for name in lost}) if lost else frame


def _missing(frame: pd.DataFrame, name: str, wanted: Sequence[str]) -> str:
    """Return the name of a missing column, and what looks like it.

    The ledger keeps the frame of a plan as JSON: no pickle, whose bytes would run code.
    """
    if name in frame.index.names:
        return f"{name} (it is in the index: use reset_index())"
    others = [str(head) for head in frame.columns if head not in wanted]
    if zoned := next((head for head in others if head.startswith(f"{name} (")), None):
        return f"{name} ({zoned!r} of a workbook has local times, for reading: save the frame as Parquet or CSV)"
    meant = near(name, [head for head in others if not head.startswith("new_")])
    return f"{name} (did you mean {meant!r}?)" if meant else name


def need_posts(frame: pd.DataFrame, columns: Iterable[str], what: str, maker: str) -> pd.DataFrame:
    """`need` of an act on whole posts; a PlanError also if the rows are targets, whose status is not their post's."""
    need(frame, (), what, maker)
    targets = {"platform", "account_id", "post_status"} <= set(frame.columns) and "targets" not in frame.columns
    if targets and plain_values(frame, "status") != plain_values(frame, "post_status"):
        raise PlanError(
            f"{what}, and the rows are targets, each with the status on its platform: pass "
            "posts[posts['post_id'].isin(targets['post_id'])] of posts = ws.posts(...)"
        )
    return need(frame, columns, what, maker)


def refuse_results(frame: pd.DataFrame, caller: str) -> None:
    """Refuse ``run.results()``, whose statuses are from before the run; ``run.failed()`` and ``run.to_mend()`` are as read last."""
    if isinstance(frame, pd.DataFrame) and {"outcome", "waiting_for"} <= {*frame.columns} and len(frame):
        raise PlanError(
            f"{caller} needs current targets, and these are results of a run; pass run.failed() or run.to_mend(), or load the posts again"
        )


def warn_of_typos(frame: pd.DataFrame, names: Iterable[str]) -> None:
    """Warn of a filled column whose name is nearly one of the optional `names`: it would be ignored.

    A name is a typo only if it is near one of ours that is absent or empty; all others are the analyst's own columns.
    """
    ours = list(names)
    unused = [name for name in ours if name not in frame.columns or frame[name].isna().all()]
    for head in frame.columns:
        name = "_".join(str(head).lower().split())
        meant = near(name, unused) if head not in ours else None
        # ``scheduled_for`` is near ``new_scheduled_for`` and not a typo.
        if meant and name.startswith("new") == meant.startswith("new") and frame[head].notna().any():
            warnings.warn(f"column {head!r} is ignored; if you mean {meant!r}, rename it", stacklevel=3)


def plain_values(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return a column as plain values: None for missing, times as ISO text in UTC, whole numbers as int; all None if absent."""
    if name not in frame.columns:
        return [None] * len(frame)
    column = frame[name]
    missing = column.isna().to_numpy(dtype=bool)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").map(pd.Timestamp.isoformat, na_action="ignore")
    return [None if gone else _plain(value) for value, gone in zip(column.astype(object), missing, strict=True)]


def restored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with categories as text and arrays of Parquet as lists, and with an `unnamed_index`."""
    plain = unnamed_index(frame).copy(deep=False)
    for at in range(frame.shape[1]):  # a name may occur twice
        column = frame.iloc[:, at]
        if isinstance(column.dtype, pd.CategoricalDtype) and pd.api.types.is_string_dtype(column.cat.categories):
            plain.isetitem(at, column.astype(STRING_DTYPE).array)
        elif column.dtype == object and any(isinstance(value, np.ndarray) for value in column):
            plain.isetitem(at, pd.Series([_plain(value) for value in column], dtype=object).array)
    return plain


def unnamed_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without index names that equal a column's, as after ``set_index("post_id", drop=False)``.

    pandas refuses to group, sort and merge by an ambiguous name.
    """
    if not any(name in frame.columns for name in frame.index.names if name is not None):
        return frame
    return frame.set_axis(frame.index.set_names([None] * frame.index.nlevels))


def _plain(value: Any) -> Any:
    """Return a value as Python's own: Parquet returns lists as arrays, at any depth."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return {name: _plain(entry) for name, entry in value.items()} if isinstance(value, dict) else value


def instants(frame: pd.DataFrame, name: str) -> list[pd.Timestamp | None]:
    """Return times in UTC as `times_of` reads them, one by one; None for a missing or invalid time."""
    return [None if pd.isna(value) else value for value in times_of(frame, name)]


def times_of(frame: pd.DataFrame, name: str) -> pd.DatetimeIndex:
    """Return times in UTC, NaT for a missing or invalid time; text is read, because a file may have lost the dtype."""
    column = frame.get(name, pd.Series(None, frame.index, object))
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(column).tz_convert("UTC")
    return parse_times(list(column))


def booleans(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return a column of booleans with the frame's index; text of a file is read, and missing values stay missing.

    Raises
    ------
    PlanError
        If a value is not a boolean, nor a word for one; any other word would count as true.
    """
    found = _each(frame, name, to_bool, "True or False")
    return pd.Series(found, index=frame.index, name=name, dtype="boolean")


def _each(frame: pd.DataFrame, name: str, read: Callable[[Any], Any], form: str) -> list[Any]:
    """Return the values of a column as `read` returns them; a PlanError names the first that it does not know."""
    values = plain_values(frame, name)
    found = list(map(read, values))
    for row, (value, result) in enumerate(zip(values, found, strict=True)):
        if result is None and value is not None:
            shown = value[:40] if isinstance(value, str) else value
            raise PlanError(f"row {row}: {name} is {shown!r}; it must be {form}")
    return found


def flags(frame: pd.DataFrame, name: str) -> list[bool]:
    """Return `booleans` as a list, False for missing values."""
    values: list[bool] = booleans(frame, name).fillna(False).to_list()
    return values


# The limit bounds the search for a row, which needs the mark of each attempt.
_MOST_ATTEMPTS = 1_000
ATTEMPTS = f"a whole number from 1 to {_MOST_ATTEMPTS:,}"


def as_whole_number(value: Any) -> Any:
    """Return a count as a whole number, also from text or a float of a file; anything else unchanged."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,15}(\.0+)?\s*", value):
        return int(float(value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def attempts(frame: pd.DataFrame) -> list[int]:
    """Return the column ``attempt``, 1 for missing values; a PlanError for what is no whole number from 1 to 1,000."""
    return _each(frame, "attempt", attempt_in, ATTEMPTS)


def attempt_in(value: Any) -> int | None:
    """Return the attempt of a cell, 1 for a missing one; None if it is not one of `ATTEMPTS`."""
    number = 1 if value is None else as_whole_number(value)
    return number if type(number) is int and 1 <= number <= _MOST_ATTEMPTS else None


def table_of(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, Any]) -> pd.DataFrame:
    """Return rows as a frame with these columns and dtypes, also without rows; absent values and NA are missing."""
    cells = {name: [None if is_missing(cell := row.get(name)) else cell for row in rows] for name in dtypes}
    return pd.DataFrame({name: pd.Series(cells[name], dtype=dtype) for name, dtype in dtypes.items()})


def store(frame: pd.DataFrame) -> bytes:
    """Write a frame as JSON.

    Parameters
    ----------
    frame : pandas.DataFrame
        A plan's. Columns of numbers, booleans, times and text keep that; other values become JSON, or text.

    Returns
    -------
    bytes
        `restore` returns the frame with the index from 0 and the dtypes of voxops: times in UTC, categories as text.
    """
    columns = [[str(name), _kind(frame[name]), plain_values(frame, name)] for name in frame.columns]
    for column in columns:
        if column[1] in _CELLS:
            column[2] = [None if value is None else str(value) for value in column[2]]
    return (json_text({"rows": len(frame), "columns": columns, "attrs": frame.attrs}) or "").encode()


def restore(data: bytes) -> pd.DataFrame:
    """Read a frame that `store` wrote; LedgerError for other bytes."""
    try:
        content = decode(data)
        columns = {name: _column(kind, values) for name, kind, values in content["columns"]}
        if {content["rows"], *map(len, columns.values())} != {content["rows"]}:
            raise ValueError("columns of several lengths")
        frame = pd.DataFrame(columns, index=pd.RangeIndex(content["rows"]))
        frame.attrs = dict(content["attrs"])
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise LedgerError(
            "the ledger holds bytes that are not the frame of a plan; somebody has changed it by hand"
        ) from error
    return frame


def _kind(column: pd.Series[Any]) -> str:
    """Return the kind by which a column is read back."""
    dtype: Any = column.cat.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "time"
    if isinstance(dtype, pd.StringDtype):
        return "text" if dtype.na_value is pd.NA else "str"
    if pd.api.types.is_numeric_dtype(dtype) and str(dtype) not in {"bool", "boolean"}:
        return "Int64" if pd.api.types.is_integer_dtype(dtype) else "float64"
    kinds = {type(value) for value in column.dropna()} if str(dtype) == "object" else {dtype}
    return "targets" if kinds == {Targets} else "json" if kinds & {Json, Targets} else str(dtype)


def _column(kind: str, values: list[Any]) -> Any:
    """Return values as a column of this kind; a dtype that is not one of voxops is ``object``."""
    if kind in _CELLS:
        values = [None if value is None else _CELLS[kind](value.encode()) for value in values]
    else:
        values = [tuple(value) if isinstance(value, list) else value for value in values]
    return pd.Series(values, dtype=_DTYPES.get(kind, object))
