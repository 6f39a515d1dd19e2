"""Required columns of a passed frame, their plain values, and columns from metadata.

The error about a missing column names its likely cause and the remedy.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from voxops._support.arguments import near
from voxops._support.canonical import well_formed
from voxops.api.limits import METADATA_NAME_CHARACTERS
from voxops.errors import ConfigError, PlanError
from voxops.frames.nested import is_missing
from voxops.frames.schemas import LABEL, LIST, STRING_DTYPE
from voxops.frames.times import TIME_DTYPE, parse_times

_IDS = ("delivery_id", "post_id", "platform", "account_id")  # identifies the rows of a frame


def absent(frame: pd.DataFrame, wanted: Iterable[str], maker: str) -> tuple[str, list[str]]:
    """Return the missing columns, ``""`` for none, and the remedies: one per visible cause, else `maker`."""
    names = list(wanted)
    missing = [name for name in names if name not in frame.columns]
    cures = {name: _cure(frame, name, missing) for name in missing}
    # A required column is not a typo of another.
    others = [str(head) for head in frame.columns if head not in names and not str(head).startswith("new_")]
    meant = {name: None if cures[name] else near(name, others) for name in missing}
    said = [f"{name} (did you mean {meant[name]!r}?)" if meant[name] else name for name in missing]
    return ", ".join(said), list(dict.fromkeys(cure or maker for cure in cures.values()))


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


def _cure(frame: pd.DataFrame, name: str, missing: Iterable[str]) -> str:
    """Return the remedy for one column, the same for all with the same cause; ``""`` if no cause is visible."""
    if name in frame.index.names:
        return (
            f"use reset_index(): the index is {', '.join(str(each) for each in frame.index.names if each is not None)}"
        )
    merged = [each for each in missing if {f"{each}_x", f"{each}_y"} <= set(frame.columns)]
    if name in merged:
        pairs = ", ".join(f"{each}_x and {each}_y" for each in merged)
        return f"after merge() there are {pairs}: pass it suffixes=('', '_other'), or rename one"
    ids = [each for each in _IDS if each in frame.columns]
    zoned = re.compile(re.escape(name) + r" \(\S+\)")  # as `voxops.to_excel` names columns of times
    if ids and any(zoned.fullmatch(str(head)) for head in frame.columns):
        by = " and ".join(filter(None, (", ".join(ids[:-1]), ids[-1])))
        return (
            "its column headers are those of vx.to_excel, whose times are local and for reading: save the frame as Parquet or CSV, "
            f"and join the edited column to it by {by}"
        )
    return ""


def need_frame(
    frame: object, columns: Iterable[str], what: str, maker: str, *, times: Iterable[str] = ()
) -> pd.DataFrame:
    """Return a frame, or raise a PlanError if it is none, lacks columns, has one twice, or has text instead of times.

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
        kind = "None" if frame is None else f"a {kind_name(frame)}"
        raise PlanError(f"{what}, not {kind}. {' '.join(map(_sentence, _as_frame(frame, maker)))}")
    wanted = list(columns)
    missing, cures = absent(frame, wanted, maker)
    if missing:
        raise PlanError(f"{what}; missing: {missing}. {' '.join(map(_sentence, cures))}")
    if duplicate := _duplicates(frame, wanted):
        raise PlanError(
            f"{what}; it has column {duplicate} twice, as after pd.concat(..., axis=1): drop or rename one."
        )
    timeless = [name for name in times if not isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    for name in timeless:
        if frame[name].notna().any():
            advice = f"Read them with pd.to_datetime(frame[{name!r}], utc=True)."
            raise PlanError(f"{what}; {name} has dtype {frame[name].dtype}, not times with a zone. {advice}")
    return (
        frame.assign(**{name: pd.Series(pd.NaT, frame.index, TIME_DTYPE) for name in timeless}) if timeless else frame
    )


def need_columns(frame: pd.DataFrame, names: Iterable[str], maker: str) -> None:
    """Raise a PlanError that names the missing columns and the call that returns them."""
    if not isinstance(frame, pd.DataFrame):
        raise PlanError(
            f"a DataFrame is needed, not {kind_name(frame)}; {'; '.join(_as_frame(frame, _instead_of(frame, maker)))}"
        )
    if frame.columns.nlevels > 1:
        raise PlanError(
            "the columns have several levels, as after agg or pivot; flatten them: frame.columns = ['_'.join(map(str, name)).strip('_') for name in frame.columns]"
        )
    if duplicate := _duplicates(frame):
        raise PlanError(f"the frame has column {duplicate} twice; drop or rename one")
    missing, cures = absent(frame, names, maker)
    if missing:
        raise PlanError(f"the frame has no column {missing}; {'; '.join(cures)}")


def refuse_results(frame: pd.DataFrame, caller: str) -> None:
    """Refuse ``run.results()``, whose statuses are from before the run; what it failed and what is to mend is as it was read last."""
    if {"outcome", "waiting_for"} <= {*frame.columns} and len(frame):
        raise PlanError(
            f"{caller} needs current targets, and these are results of a run; pass run.failed() or run.to_mend(), or load the posts again"
        )


def need_posts(frame: pd.DataFrame, names: Iterable[str], maker: str) -> None:
    """`need_columns` of an act on whole posts; a PlanError also if the rows are targets, whose status is not their post's."""
    need_columns(frame, (), maker)
    of_targets = {"platform", "account_id", "post_status"} <= set(frame.columns) and "targets" not in frame.columns
    if of_targets and plain_values(frame, "status") != plain_values(frame, "post_status"):
        raise PlanError(
            "the rows are targets, each with the status on its platform, and posts are needed: pass "
            "posts[posts['post_id'].isin(targets['post_id'])] of posts = ws.posts(...)"
        )
    need_columns(frame, names, maker)


def kind_name(thing: object) -> str:
    """Return the kind of an object, with the library for foreign frames."""
    kind = type(thing)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}" if of_another_library(thing) else kind.__name__


def of_another_library(thing: object) -> str:
    """Return how to convert a foreign frame to pandas; ``""`` if the object is none."""
    arrow = callable(getattr(type(thing), "__arrow_c_stream__", None)) and not isinstance(
        thing, pd.DataFrame | pd.Series
    )
    return "convert it with frame.to_pandas()" if arrow else ""


def _as_frame(thing: object, maker: str) -> list[str]:
    """Return the remedies for an object that is no frame: how to convert it, or the call that returns a frame."""
    if not isinstance(thing, pd.Series):
        return [of_another_library(thing) or maker]
    name = thing.name if isinstance(thing.name, str) else "post_id"
    return [
        f"pass its frame, filtered as frame[rows]; a frame of one column has double brackets, frame[[{name!r}]]",
        maker,
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _duplicates(frame: pd.DataFrame, names: Iterable[str] | None = None) -> str:
    """Return the duplicate columns of a frame, among `names` if given; ``""`` for none."""
    found = {str(name) for name in frame.columns[frame.columns.duplicated()]}
    return ", ".join(sorted(found if names is None else found & set(names)))


def _instead_of(thing: object, maker: str) -> str:
    """Return the call for the right frame in place of another object; for a run, its failed rows or created posts."""
    if not callable(getattr(type(thing), "made", None)):
        return maker
    return "use run.failed() for its failed rows, or run.made() for the posts that it created"


def plain_values(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return a column as plain values: None for missing, times as ISO text in UTC, whole numbers as int; all None if absent."""
    if name not in frame.columns:
        return [None] * len(frame)
    column = frame[name]
    missing = column.isna().to_numpy(dtype=bool)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC")
        return [None if gone else value.isoformat() for value, gone in zip(column, missing, strict=True)]
    values: list[Any] = [None if gone else value for value, gone in zip(column.astype(object), missing, strict=True)]
    # Parquet returns lists as arrays.
    return [value.tolist() if isinstance(value, np.generic | np.ndarray) else value for value in values]


def restored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with categories as text and arrays of Parquet as lists, and with an `unnamed_index`."""
    plain = unnamed_index(frame).copy(deep=False)
    for at in range(frame.shape[1]):  # a name may occur twice
        column = frame.iloc[:, at]
        if isinstance(column.dtype, pd.CategoricalDtype) and pd.api.types.is_string_dtype(column.cat.categories):
            plain.isetitem(at, column.astype(STRING_DTYPE).array)
        elif column.dtype == object and any(isinstance(value, np.ndarray) for value in column):
            plain.isetitem(at, pd.Series([_listed(value) for value in column], dtype=object).array)
    return plain


def unnamed_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without index names that equal a column's, as after ``set_index("post_id", drop=False)``.

    pandas refuses to group, sort and merge by an ambiguous name.
    """
    if not any(name in frame.columns for name in frame.index.names if name is not None):
        return frame
    return frame.set_axis(frame.index.set_names([None] * frame.index.nlevels))


def _listed(value: Any) -> Any:
    """Return a value with arrays as lists, at any depth."""
    if isinstance(value, np.ndarray):
        return [_listed(each) for each in value.tolist()]
    if isinstance(value, dict):
        return {name: _listed(each) for name, each in value.items()}
    return value


def instants(frame: pd.DataFrame, name: str) -> list[pd.Timestamp | None]:
    """Return times in UTC as `times_of` reads them, one by one; None for a missing or invalid time."""
    return [None if pd.isna(value) else value for value in times_of(frame, name)]


def times_of(frame: pd.DataFrame, name: str) -> pd.DatetimeIndex:
    """Return times in UTC, NaT for a missing or invalid time; text is read, since a file may have lost the dtype."""
    column = frame.get(name, pd.Series([None] * len(frame), dtype=object))
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(column).tz_convert("UTC")
    return parse_times(list(column))


_YES_AND_NO = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def flags(frame: pd.DataFrame, name: str) -> list[bool]:
    """Return a column of booleans, False for missing values.

    Raises
    ------
    PlanError
        If a value is not a boolean; a word such as "no" would count as true.
    """
    return [bool(value) for value in _yes_or_no(frame, name)]


def booleans(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return a column of booleans with the frame's index; text is read, as in `flags`, and missing values stay missing.

    Raises
    ------
    PlanError
        If a value is not a boolean.
    """
    column = frame[name]
    if pd.api.types.is_bool_dtype(column):
        return column.astype("boolean")
    return pd.Series(_yes_or_no(frame, name), index=frame.index, name=name, dtype="boolean")


def _yes_or_no(frame: pd.DataFrame, name: str) -> list[bool | None]:
    """Return a column of booleans as plain values, None for missing ones."""
    found = []
    for row, value in enumerate(plain_values(frame, name)):
        known = None if value is None else _YES_AND_NO.get(str(value).strip().lower())
        if known is None and value is not None:
            raise PlanError(f"row {row}: {name} is {str(value)[:40]!r}; it must be True or False")
        found.append(known)
    return found


# The limit bounds the search for a row, which needs the mark of each attempt.
_MOST_ATTEMPTS = 1_000
ATTEMPTS = f"a whole number from 1 to {_MOST_ATTEMPTS:,}"


def as_whole_number(value: Any) -> Any:
    """Return a count as a whole number, also from text or a float of a file; anything else unchanged."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,15}(\.0+)?\s*", value):
        return int(float(value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def attempts(frame: pd.DataFrame) -> list[int]:
    """Return the column ``attempt``, 1 for missing values.

    Raises
    ------
    PlanError
        If a value is not a whole number from 1 to 1,000.
    """
    numbers = []
    for row, value in enumerate(plain_values(frame, "attempt")):
        number = attempt_in(value)
        if number is None:
            raise PlanError(f"row {row}: attempt is {value!r}; it must be {ATTEMPTS}")
        numbers.append(number)
    return numbers


def attempt_in(value: Any) -> int | None:
    """Return the attempt of a cell, 1 for a missing one; None if it is not one of `ATTEMPTS`."""
    number = 1 if value is None else as_whole_number(value)
    fits = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= _MOST_ATTEMPTS
    return number if fits else None


def table_of(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, Any]) -> pd.DataFrame:
    """Return rows as a frame with these columns and dtypes, also without rows; absent values and NA are missing."""
    values = {name: [None if is_missing(row.get(name)) else row[name] for row in rows] for name in dtypes}
    return pd.DataFrame({name: pd.Series(values[name], dtype=dtype) for name, dtype in dtypes.items()})


PEOPLE = ("owner", "campaign", "tags")  # columns that may come from metadata
_FIELD = re.compile(r"(?:metadata\.)?([^.\s]+(?:\.[^.\s]+)*)")


def metadata_field(name: str, value: str) -> str:
    """Return ``metadata.owner`` for ``owner``, a field of the metadata, or itself; ConfigError if it is none."""
    found = _FIELD.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or len(found[1]) > METADATA_NAME_CHARACTERS:
        example = name.removesuffix("_field")
        raise ConfigError(f"{name}={value!r} must name a field of the posts' metadata, such as {example!r}")
    if found[1].lower().startswith("voxops"):
        raise ConfigError(f"{name}={value!r} is a field in which voxops marks posts; name another")
    return f"metadata.{found[1]}"


def with_people(posts: pd.DataFrame, fields: Mapping[str, str]) -> pd.DataFrame:
    """Return posts with a column for each of these fields.

    Parameters
    ----------
    posts : pandas.DataFrame
        Has ``metadata``.
    fields : mapping of str to str
        ``owner``, ``campaign`` or ``tags`` -> its field.

    Returns
    -------
    pandas.DataFrame
        With ``owner campaign`` (string, NA if the post has none; several are joined by a comma) and ``tags`` (lists).

    Warns
    -----
    UserWarning
        If no post has the field but some have one with a similar name: a typo must not look like posts without owners.
    """
    if not fields:
        return posts
    columns: dict[str, Any] = {}
    for name, field in fields.items():
        found = [metadata_value(value, field.split(".")[1:]) for value in posts["metadata"]]
        if all(value is None for value in found) and (meant := _people_meant(posts["metadata"], field)):
            said = f"{name}_field={field.removeprefix('metadata.')!r}: no post has this field in its metadata"
            warnings.warn(f"{said}; did you mean {meant.removeprefix('metadata.')!r}?", stacklevel=2)
        if name == "tags":
            columns[name] = LIST.array([texts_of(value) for value in found])
        else:
            columns[name] = LABEL.array([", ".join(texts_of(value)) or None for value in found])
    table = posts.assign(**columns)
    table.attrs = {**posts.attrs, "people": dict(fields)}
    return table


def metadata_value(value: Any, names: list[str]) -> Any:
    """Return the value at this path of names in metadata, also in a file's text; None if absent."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _people_meant(metadata: pd.Series, field: str) -> str | None:
    """Return the existing field that a typo likely means; None if none is near, or a post has the field, even empty."""
    parent, _, last = field.rpartition(".")
    beside = (metadata_value(value, parent.split(".")[1:]) for value in metadata)
    known = {str(name) for group in beside if isinstance(group, Mapping) for name in group}
    meant = None if last in known else near(last, sorted(known))
    return None if meant is None else f"{parent}.{meant}"


def texts_of(value: Any) -> list[str]:
    """Return one text or a list of texts as a list; empty for a missing value or one without text."""
    entries = value if isinstance(value, list | tuple) else [value]
    texts = [
        well_formed(str(each)).strip() for each in entries if isinstance(each, str | int) and not isinstance(each, bool)
    ]
    return [text for text in texts if text]
