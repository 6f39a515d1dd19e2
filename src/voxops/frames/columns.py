"""Columns of a frame that was passed: which it must have, their plain values, and those that come from metadata.

The message about a missing column says what the frame shows of it, and what to do.
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
from voxops.errors import ConfigError, PlanError
from voxops.frames.schemas import LABEL, LIST, STRING_DTYPE
from voxops.frames.times import TIME_DTYPE, parse_times

_IDS = ("delivery_id", "post_id", "platform", "account_id")  # what tells the rows of a frame apart


def absent(frame: pd.DataFrame, wanted: Iterable[str], maker: str) -> tuple[str, list[str]]:
    """The columns that a frame lacks, ``""`` if none, and what to do: what the frame shows of each, `maker` where it shows nothing."""
    names = list(wanted)
    missing = [name for name in names if name not in frame.columns]
    cures = {name: _cure(frame, name, missing) for name in missing}
    # A column that is wanted by its own name is no typo of another.
    others = [str(head) for head in frame.columns if head not in names and not str(head).startswith("new_")]
    meant = {name: None if cures[name] else near(name, others) for name in missing}
    said = [f"{name} (did you mean {meant[name]!r}?)" if meant[name] else name for name in missing]
    return ", ".join(said), list(dict.fromkeys(cure or maker for cure in cures.values()))


def warn_of_typos(frame: pd.DataFrame, names: Iterable[str]) -> None:
    """Warn of a filled column whose name is nearly one of `names`, all of which are optional: nobody would read it.

    The analyst's own columns are no typos: only a name that is near one of ours, where that is absent or empty, is one.
    """
    ours = list(names)
    unused = [name for name in ours if name not in frame.columns or frame[name].isna().all()]
    for head in frame.columns:
        name = "_".join(str(head).lower().split())
        meant = near(name, unused) if head not in ours else None
        # ``scheduled_for`` is near ``new_scheduled_for``, and no typo.
        if meant and name.startswith("new") == meant.startswith("new") and frame[head].notna().any():
            warnings.warn(f"column {head!r} is none that is read; did you mean {meant!r}? Rename it then", stacklevel=3)


def _cure(frame: pd.DataFrame, name: str, missing: Iterable[str]) -> str:
    """What to do about one column, the same words for all to which the same has happened; ``""`` where nothing shows what has."""
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
            "its heads are those of vx.to_excel, whose times are local and for reading: keep the frame as Parquet or CSV, "
            f"and join the edited column to it by {by}"
        )
    return ""


def need_frame(
    frame: object, columns: Iterable[str], what: str, maker: str, *, times: Iterable[str] = ()
) -> pd.DataFrame:
    """Return a frame, or raise a PlanError where it is none, lacks columns or has one twice, or has text where times should be.

    Parameters
    ----------
    frame : object
        The argument.
    columns : iterable of str
        What it must have.
    what : str
        Who needs what, such as ``triage() needs a targets frame``.
    maker : str
        The call that makes one, as a sentence.
    times : iterable of str
        Which of the columns hold times. One in which nothing stands, of which a file keeps no dtype, has that of times in the frame
        that is returned.
    """
    if not isinstance(frame, pd.DataFrame):
        kind = "None" if frame is None else f"a {kind_name(frame)}"
        raise PlanError(f"{what}, not {kind}. {' '.join(map(_sentence, _as_frame(frame, maker)))}")
    wanted = list(columns)
    missing, cures = absent(frame, wanted, maker)
    if missing:
        raise PlanError(f"{what}; missing: {missing}. {' '.join(map(_sentence, cures))}")
    if doubled := _doubled(frame, wanted):
        raise PlanError(
            f"{what}; column {doubled} stands in it twice, as after pd.concat(..., axis=1): drop or rename one."
        )
    timeless = [name for name in times if not isinstance(frame[name].dtype, pd.DatetimeTZDtype)]
    for name in timeless:
        if frame[name].notna().any():
            advice = f"Read them with pd.to_datetime(frame[{name!r}], utc=True)."
            raise PlanError(f"{what}; {name} holds {frame[name].dtype}, not times with a zone. {advice}")
    return (
        frame.assign(**{name: pd.Series(pd.NaT, frame.index, TIME_DTYPE) for name in timeless}) if timeless else frame
    )


def need_columns(frame: pd.DataFrame, names: Iterable[str], maker: str) -> None:
    """Raise a PlanError that names the columns a frame lacks and the call that would bring them."""
    if not isinstance(frame, pd.DataFrame):
        raise PlanError(
            f"a DataFrame is needed, not {kind_name(frame)}; {'; '.join(_as_frame(frame, _instead_of(frame, maker)))}"
        )
    if frame.columns.nlevels > 1:
        raise PlanError(
            "the columns have several levels, as after agg or pivot; flatten them: frame.columns = ['_'.join(map(str, name)).strip('_') for name in frame.columns]"
        )
    if doubled := _doubled(frame):
        raise PlanError(f"the frame has column {doubled} twice; drop or rename one")
    missing, cures = absent(frame, names, maker)
    if missing:
        raise PlanError(f"the frame has no column {missing}; {'; '.join(cures)}")


def refuse_results(frame: pd.DataFrame, caller: str) -> None:
    """Refuse ``run.results()``, whose statuses are those before the run; ``run.failed()`` of a run of nothing is empty, and fine."""
    if "outcome" in frame.columns and len(frame):
        raise PlanError(
            f"{caller} needs targets as they are now, and these are results of a run; take run.failed(), or load the posts again"
        )


def refuse_texts_of_lists(frame: pd.DataFrame, name: str) -> None:
    """Refuse a column of lists of which a CSV file has made texts: nothing would be found in them, in silence."""
    if frame[name].map(lambda each: isinstance(each, str)).any():
        raise PlanError(
            f"column {name!r} holds texts: a CSV file keeps no lists; keep the frame as Parquet, or read it from its source again"
        )


def need_posts(frame: pd.DataFrame, names: Iterable[str], maker: str) -> None:
    """`need_columns` of an act on whole posts; a PlanError also where the rows are targets, whose status is not their post's."""
    need_columns(frame, (), maker)
    of_targets = {"platform", "account_id", "post_status"} <= set(frame.columns) and "targets" not in frame.columns
    if of_targets and plain_values(frame, "status") != plain_values(frame, "post_status"):
        raise PlanError(
            "the rows are targets, each with the status on its platform, and posts are needed: take "
            "posts[posts['post_id'].isin(targets['post_id'])] of posts = ws.posts(...)"
        )
    need_columns(frame, names, maker)


def kind_name(thing: object) -> str:
    """What a thing is; of another library's frame also whose."""
    kind = type(thing)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}" if of_another_library(thing) else kind.__name__


def of_another_library(thing: object) -> str:
    """How a frame or table of another library becomes one of pandas; ``""`` where a thing is none."""
    arrow = callable(getattr(type(thing), "__arrow_c_stream__", None)) and not isinstance(
        thing, pd.DataFrame | pd.Series
    )
    return "use vx.from_arrow(frame)" if arrow else ""


def _as_frame(thing: object, maker: str) -> list[str]:
    """What to do about a thing that is no frame: how it becomes one, or of a column that its frame is meant, and what makes one."""
    if not isinstance(thing, pd.Series):
        return [of_another_library(thing) or maker]
    name = thing.name if isinstance(thing.name, str) else "post_id"
    return [
        f"pass its frame, filtered as frame[rows]; a frame of one column has double brackets, frame[[{name!r}]]",
        maker,
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _doubled(frame: pd.DataFrame, names: Iterable[str] | None = None) -> str:
    """The columns that stand in a frame more than once, among `names` if there are any; ``""`` if none does."""
    found = {str(name) for name in frame.columns[frame.columns.duplicated()]}
    return ", ".join(sorted(found if names is None else found & set(names)))


def _instead_of(thing: object, maker: str) -> str:
    """The call that brings what is needed in place of something else; of a run the rows that failed, or what it has made."""
    if not callable(getattr(type(thing), "made", None)):
        return maker
    return "use run.failed() for the rows that failed in it, or run.made() for the posts that it has made"


def plain_values(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain values: None for what is missing, times as ISO text in UTC, whole numbers as int; all None if absent."""
    if name not in frame.columns:
        return [None] * len(frame)
    column = frame[name]
    missing = column.isna().to_numpy(dtype=bool)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC")
        return [None if gone else value.isoformat() for value, gone in zip(column, missing, strict=True)]
    values: list[Any] = [None if gone else value for value, gone in zip(column.astype(object), missing, strict=True)]
    # Parquet makes arrays of lists.
    return [value.tolist() if isinstance(value, np.generic | np.ndarray) else value for value in values]


def restored(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with text in the place of categories, with lists where Parquet has made arrays of them, and `unnamed_index`."""
    plain = unnamed_index(frame).copy(deep=False)
    for at in range(frame.shape[1]):  # a name may stand there twice
        column = frame.iloc[:, at]
        if isinstance(column.dtype, pd.CategoricalDtype) and pd.api.types.is_string_dtype(column.cat.categories):
            plain.isetitem(at, column.astype(STRING_DTYPE).array)
        elif column.dtype == object and any(isinstance(value, np.ndarray) for value in column):
            plain.isetitem(at, pd.Series([_listed(value) for value in column], dtype=object).array)
    return plain


def unnamed_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, its index without names where one is a column's, too, as after ``set_index("post_id", drop=False)``.

    pandas groups, sorts and merges by no name that could mean either.
    """
    if not any(name in frame.columns for name in frame.index.names if name is not None):
        return frame
    return frame.set_axis(frame.index.set_names([None] * frame.index.nlevels))


def _listed(value: Any) -> Any:
    """A value with lists in the place of arrays, however deep."""
    if isinstance(value, np.ndarray):
        return [_listed(each) for each in value.tolist()]
    if isinstance(value, dict):
        return {name: _listed(each) for name, each in value.items()}
    return value


def instants(frame: pd.DataFrame, name: str) -> list[pd.Timestamp | None]:
    """A column of times in UTC as `times_of` reads it, one by one; None for what is missing or no time."""
    return [None if pd.isna(value) else value for value in times_of(frame, name)]


def times_of(frame: pd.DataFrame, name: str) -> pd.DatetimeIndex:
    """A column of times in UTC, NaT for what is missing or no time; text is read, so that a frame may come back from a file."""
    column = frame.get(name, pd.Series([None] * len(frame), dtype=object))
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(column).tz_convert("UTC")
    return parse_times(list(column))


_YES_AND_NO = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def flags(frame: pd.DataFrame, name: str) -> list[bool]:
    """A column of yes and no, False for what is missing.

    Raises
    ------
    PlanError
        If a value is neither; a word such as "no" would else count as a yes.
    """
    return [bool(value) for value in _yes_or_no(frame, name)]


def booleans(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column of yes and no as ``boolean``, with the frame's index; text is read, as `flags` does, and what is missing stays so.

    Raises
    ------
    PlanError
        If a value is neither.
    """
    column = frame[name]
    if pd.api.types.is_bool_dtype(column):
        return column.astype("boolean")
    return pd.Series(_yes_or_no(frame, name), index=frame.index, name=name, dtype="boolean")


def _yes_or_no(frame: pd.DataFrame, name: str) -> list[bool | None]:
    """A column of yes and no as plain values, None for what is missing."""
    found = []
    for row, value in enumerate(plain_values(frame, name)):
        known = None if value is None else _YES_AND_NO.get(str(value).strip().lower())
        if known is None and value is not None:
            raise PlanError(f"row {row}: {name} is {str(value)[:40]!r}; it must be True or False")
        found.append(known)
    return found


# What is more is no count of attempts: a row is looked for under the mark of each attempt that it may have had.
_MOST_ATTEMPTS = 1_000
ATTEMPTS = f"a whole number from 1 to {_MOST_ATTEMPTS:,}"


def as_whole_number(value: Any) -> Any:
    """A count as a whole number, where a file has made text or a fraction of it; anything else as it is."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,15}(\.0+)?\s*", value):
        return int(float(value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def attempts(frame: pd.DataFrame) -> list[int]:
    """The column ``attempt``, 1 for what is missing.

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
    """The number of an attempt in a cell, 1 for a missing one; None if it is none of `ATTEMPTS`."""
    number = 1 if value is None else as_whole_number(value)
    fits = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= _MOST_ATTEMPTS
    return number if fits else None


def table_of(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, Any]) -> pd.DataFrame:
    """Rows as a frame of these columns and dtypes, also where there are none; what a row lacks or has as NA is missing."""
    values = {name: [None if is_missing(row.get(name)) else row[name] for row in rows] for name in dtypes}
    return pd.DataFrame({name: pd.Series(values[name], dtype=dtype) for name, dtype in dtypes.items()})


def is_missing(value: Any) -> bool:
    """Whether there is no value; a list or a tuple is one, however long."""
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


PEOPLE = ("owner", "campaign", "tags")  # columns that may come from metadata
_FIELD = re.compile(r"(?:metadata\.)?([^.\s]+(?:\.[^.\s]+)*)")


def metadata_field(name: str, value: str) -> str:
    """Return ``metadata.owner`` for ``owner``, a field of the metadata, or itself; ConfigError if it is none."""
    found = _FIELD.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        example = name.removesuffix("_field")
        raise ConfigError(f"{name}={value!r} must name a field of the posts' metadata, such as {example!r}")
    return f"metadata.{found[1]}"


def with_people(posts: pd.DataFrame, fields: Mapping[str, str]) -> pd.DataFrame:
    """Return posts with a column for each of these fields.

    Parameters
    ----------
    posts : pandas.DataFrame
        Has ``metadata``.
    fields : mapping of str to str
        ``owner``, ``campaign`` or ``tags`` -> the field that holds it.

    Returns
    -------
    pandas.DataFrame
        With ``owner campaign`` (string, NA where the post does not say; several are joined by a comma) and ``tags`` (tuples).

    Warns
    -----
    UserWarning
        If no post has the field and one that they have is near: a typo in a setting must not look like posts without owners.
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
    """What metadata hold under these names, one within the other; None where they don't. A file has made text of them."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _people_meant(metadata: pd.Series, field: str) -> str | None:
    """The field beside this one, of any post, that a typo is likely to have meant; None where none is near, or a post has this one, empty."""
    parent, _, last = field.rpartition(".")
    beside = (metadata_value(value, parent.split(".")[1:]) for value in metadata)
    known = {str(name) for group in beside if isinstance(group, Mapping) for name in group}
    meant = None if last in known else near(last, sorted(known))
    return None if meant is None else f"{parent}.{meant}"


def texts_of(value: Any) -> list[str]:
    """One text or a list of texts as a list; empty for what is missing or no text."""
    entries = value if isinstance(value, list | tuple) else [value]
    texts = [
        well_formed(str(each)).strip() for each in entries if isinstance(each, str | int) and not isinstance(each, bool)
    ]
    return [text for text in texts if text]
