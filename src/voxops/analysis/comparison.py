"""Before and after: what has changed between two loads of the same targets, or between two runs."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

import pandas as pd

from voxops.errors import PlanError
from voxops.frames import TARGET_KEY
from voxops.frames.columns import need_columns, plain_values, unnamed_index
from voxops.frames.values import STRING_DTYPE

__all__ = ["compare"]

_TARGET = list(TARGET_KEY)
# What names a row of a run's results, the most particular first.
_NAMES = (_TARGET, ["delivery_id"], ["post_id"])
_ORDER = ("newly failing", "recovered", "only before", "only after", "otherwise", "same")


class _Results(Protocol):
    """A run."""

    def results(self) -> pd.DataFrame:
        """What became of its rows."""


def compare(before: pd.DataFrame | _Results, after: pd.DataFrame | _Results) -> pd.DataFrame:
    """Compare two loads of the same targets, or two runs row by row.

    Parameters
    ----------
    before, after : pandas.DataFrame or Run
        Two frames from ``vx.targets`` or ``vx.triage``, whose rows are matched by post, platform and account (those that share all
        three, in their order); or two runs, whose rows are
        matched by what their plans name: the key of a campaign, the delivery, or post, platform and account.

    Returns
    -------
    pandas.DataFrame
        Of frames: indexed by ``was`` and ``now`` (statuses, ``–`` where a row has none; ``absent`` where one side has no such row):
        ``rows`` (Int64), most first.
        Of runs: one row per row of either, its names first, then ``was now`` (string: outcomes, ``absent`` where one has no such row),
        ``change`` (string: ``newly failing``, ``recovered``, ``only before``, ``only after``, ``otherwise`` or ``same``) and
        ``error_code error_message`` (string, of the later run), what needs looking at first.

    Raises
    ------
    PlanError
        If a frame has no ``post_id platform account_id status``, a frame is compared with a run, or two runs are about different things.

    Examples
    --------
    >>> before = vx.targets(ws.posts(status=["failed", "partial"]))
    >>> vx.compare(before, before)["rows"].sum() == len(before)
    np.True_
    """
    if isinstance(before, pd.DataFrame) or isinstance(after, pd.DataFrame) or not (_is_run(before) and _is_run(after)):
        if _is_run(before) or _is_run(after):
            raise PlanError("compare() takes two frames or two runs, not one of each")
        return _frames(before, after)
    return _runs(before.results(), after.results())


def _is_run(thing: Any) -> TypeGuard[_Results]:
    """Whether a thing is a run."""
    return callable(getattr(type(thing), "results", None))


def _frames(before: Any, after: Any) -> pd.DataFrame:
    """How many targets went from which status to which."""
    for frame in (before, after):
        need_columns(frame, (*_TARGET, "status"), "use vx.targets(posts)")
    left, right = _numbered(before, "was"), _numbered(after, "now")
    both = left.merge(right, on=[*_TARGET, "number"], how="outer")
    both[["was", "now"]] = both[["was", "now"]].fillna("absent")
    counts = both.groupby(["was", "now"]).size().astype("Int64")
    table: pd.DataFrame = counts.sort_values(ascending=False, kind="stable").to_frame("rows")
    return table


def _numbered(frame: pd.DataFrame, status: str) -> pd.DataFrame:
    """Targets with their status under this name; those that share a name, such as one without an account, are numbered in their order."""
    names = unnamed_index(frame[_TARGET])
    number = names.groupby(_TARGET, dropna=False, observed=True).cumcount()
    # A row without a status is there all the same.
    return names.assign(number=number, **{status: frame["status"].astype(STRING_DTYPE).fillna("–")})


def _runs(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """What became of each row in the one run and in the other."""
    names = _names_of(before)
    if names != _names_of(after):
        raise PlanError(
            f"these runs are about different things: rows of the one are named by {', '.join(names)}, of the other by "
            f"{', '.join(_names_of(after))}"
        )
    was, now = dict(_rows(before, names)), dict(_rows(after, names))
    table = []
    for key in [*was, *(key for key in now if key not in was)]:
        old, new = (side.get(key, {}) for side in (was, now))
        said = (old.get("outcome", "absent"), new.get("outcome", "absent"))
        table.append((*key, *said, _change(*said), new.get("error_code"), new.get("error_message")))
    columns = [*names, "was", "now", "change", "error_code", "error_message"]
    values = list(zip(*table, strict=True)) or [()] * len(columns)
    frame = pd.DataFrame(
        {name: pd.array(list(some), dtype=STRING_DTYPE) for name, some in zip(columns, values, strict=True)}
    )
    order = frame["change"].map({name: number for number, name in enumerate(_ORDER)})
    return frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def _names_of(results: pd.DataFrame) -> list[str]:
    """The columns that name a row of a run's results."""
    key = results.attrs.get("key")
    if key and key in results.columns:
        return [str(key)]
    found = next((names for names in _NAMES if set(names) <= set(results.columns)), None)
    if found is None:
        raise PlanError("compare() takes runs of plans; what a watch follows has no outcome of its own")
    return list(found)


def _rows(results: pd.DataFrame, names: list[str]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The rows of a run, each under its name."""
    wanted = [*names, "outcome", "error_code", "error_message"]
    columns = {name: plain_values(results, name) for name in wanted}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [(tuple(None if row[name] is None else str(row[name]) for name in names), row) for row in rows]


def _change(was: str, now: str) -> str:
    """What two outcomes say of a row."""
    if "absent" in (was, now):
        return "only after" if was == "absent" else "only before"
    if was == now:
        return "same"
    if now == "succeeded":
        return "recovered"
    return "newly failing" if now == "failed" else "otherwise"
