"""The targets of a post: one entry per platform, as a posts frame holds them in one cell."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat
from typing import Any, NamedTuple, TypeAlias, overload

import msgspec
import numpy as np

Objects: TypeAlias = "np.ndarray[Any, np.dtype[np.object_]]"


class Target(NamedTuple):
    """One platform of one post.

    Every field is text or None, except `retry_count` (int or None); `status` and `platform` are lower case, `error_code` upper
    case, `published_at` the time as the wire gave it.
    """

    target_id: str | None = None
    platform: str | None = None
    account_id: str | None = None
    account_name: str | None = None
    status: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    retry_count: int | None = None
    platform_post_id: str | None = None
    platform_post_url: str | None = None
    published_at: str | None = None


class _OneOfMany(msgspec.StructMeta, ABCMeta):
    """A struct that is also an abstract class."""


class Targets(msgspec.Struct, Sequence[Target], metaclass=_OneOfMany, gc=False, eq=False):
    """The targets of one post, as the column ``targets`` of a posts frame holds them.

    A sequence of `Target` to whoever reads it; inside, a window on columns that all posts of a frame share: 100,000 posts with
    three platforms each would otherwise keep 400,000 objects alive, and Python's collector busy with them. The collector does not
    look at windows either, for none can be in a cycle.
    """

    _columns: tuple[Objects, ...]
    _start: int
    _stop: int

    @classmethod
    def of(cls, targets: Iterable[Iterable[Any]]) -> Targets:
        """Make one of targets, each a sequence of its fields in order."""
        rows = [Target._make(fields) for fields in targets]
        columns = zip(*rows, strict=True) if rows else ((),) * len(Target._fields)
        return cls(tuple(np.fromiter(column, object, len(rows)) for column in columns), 0, len(rows))

    @classmethod
    def joined(cls, pieces: Sequence[Targets]) -> Targets:
        """All targets of several pieces, in columns of their own."""
        columns = zip(*(each._cut() for each in pieces), strict=True)
        return cls(tuple(map(np.concatenate, columns)), 0, sum(map(len, pieces)))

    def split(self, lengths: Iterable[int]) -> list[Targets]:
        """Cut into consecutive parts of these lengths, which share the columns."""
        ends = list(accumulate(lengths, initial=self._start))
        return list(map(Targets, repeat(self._columns), ends, ends[1:]))

    def _cut(self) -> list[Objects]:
        """Its own part of each column."""
        return [column[self._start : self._stop] for column in self._columns]

    def column(self, field: str) -> list[Any]:
        """One field of all of them."""
        values: list[Any] = self._columns[Target._fields.index(field)][self._start : self._stop].tolist()
        return values

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, at: int) -> Target: ...
    @overload
    def __getitem__(self, at: slice) -> list[Target]: ...
    def __getitem__(self, at: int | slice) -> Target | list[Target]:
        return list(self)[at]

    def __iter__(self) -> Iterator[Target]:
        return map(Target._make, zip(*self._cut(), strict=True))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to a list, and like a list not hashable

    def __reduce__(self) -> tuple[Any, ...]:
        return Targets.of, ([tuple(target) for target in self],)

    def __repr__(self) -> str:
        return repr(list(self))


def gather(groups: Sequence[Targets]) -> dict[str, list[Any]]:
    """Each field of all targets of many posts, in order: field -> values.

    Posts that share columns are read together, however they have been sorted or filtered since.
    """
    lengths = np.fromiter(map(len, groups), np.int64, len(groups))
    starts = np.fromiter((group._start for group in groups), np.int64, len(groups))
    owners = {id(group._columns): group._columns for group in groups}
    numbers = {owner: number for number, owner in enumerate(owners)}
    owner = np.repeat(np.fromiter((numbers[id(group._columns)] for group in groups), np.int64, len(groups)), lengths)
    # where each row stands in its owner's columns: its post's start, and how far it is into its post
    place = np.arange(len(owner)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    gathered = [np.empty(len(owner), object) for _ in Target._fields]
    order = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[order], np.arange(1, len(owners)))
    for columns, rows in zip(owners.values(), np.split(order, cuts), strict=bool(owners)):
        for into, column in zip(gathered, columns, strict=True):
            into[rows] = column[place[rows]]
    return {field: values.tolist() for field, values in zip(Target._fields, gathered, strict=True)}
