"""Columns whose cells are lists or objects: plain Python in each cell, with a fixed Arrow type.

pandas would store such cells as ``object``, for which Arrow guesses a type from the values. It fails on the lazy targets of posts, on
objects without fields, and on rows that differ. Here the column fixes the type:

==========  ================================  ===================================================
column      a cell                            Arrow, Parquet, DuckDB
==========  ================================  ===================================================
targets     `Targets`                         a list of structs with the fields of `Target`
list        a list                            a list of texts
json        any JSON value                    its text
==========  ================================  ===================================================
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeAlias, overload

import msgspec
import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

from voxops._support.canonical import json_text, text, well_formed

Objects: TypeAlias = "np.ndarray[Any, np.dtype[np.object_]]"


class Target(NamedTuple):
    """One platform of one post.

    Every field is text or None, except `retry_count` (int or None); `status` and `platform` are lower case, `error_code` upper
    case, `published_at` the time as sent.
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
    """The metaclass of a struct that is also an abstract class."""


class Targets(msgspec.Struct, Sequence[Target], metaclass=_OneOfMany, gc=False, eq=False):
    """The targets of one post, in the column ``targets`` of a posts frame.

    It reads as a sequence of `Target`, but is a window on columns that all posts of a frame share. Else 100,000 posts with three
    platforms each would be 400,000 objects for the garbage collector, which skips windows, since they are never in a cycle.
    """

    _columns: tuple[Objects, ...]
    _start: int
    _stop: int

    @classmethod
    def of(cls, targets: Iterable[Iterable[Any]]) -> Targets:
        """Build one from targets, each a sequence of its fields in order."""
        rows = [Target._make(fields) for fields in targets]
        columns = zip(*rows, strict=True) if rows else ((),) * len(Target._fields)
        return cls(tuple(np.fromiter(column, object, len(rows)) for column in columns), 0, len(rows))

    @classmethod
    def joined(cls, pieces: Sequence[Targets]) -> Targets:
        """Concatenate the targets of several pieces into new columns."""
        columns = zip(*(each._cut() for each in pieces), strict=True)
        return cls(tuple(map(np.concatenate, columns)), 0, sum(map(len, pieces)))

    def split(self, lengths: Iterable[int]) -> list[Targets]:
        """Split into consecutive parts of these lengths, which share the columns."""
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

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # equal to a list, and like a list not hashable

    def __reduce__(self) -> tuple[Any, ...]:
        return Targets.of, ([tuple(target) for target in self],)

    def __repr__(self) -> str:
        return repr(list(self))


def gather(groups: Sequence[Targets]) -> dict[str, list[Any]]:
    """Each field of all targets of many posts, in order: field -> values.

    Posts that share columns are read together, even after sorting or filtering.
    """
    lengths = np.fromiter(map(len, groups), np.int64, len(groups))
    starts = np.fromiter((group._start for group in groups), np.int64, len(groups))
    owners = {id(group._columns): group._columns for group in groups}
    numbers = {owner: number for number, owner in enumerate(owners)}
    owner = np.repeat(np.fromiter((numbers[id(group._columns)] for group in groups), np.int64, len(groups)), lengths)
    # each row's place in its owner's columns: its post's start, and its offset in the post
    place = np.arange(len(owner)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    gathered = [np.empty(len(owner), object) for _ in Target._fields]
    order = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[order], np.arange(1, len(owners)))
    for columns, rows in zip(owners.values(), np.split(order, cuts), strict=bool(owners)):
        for into, column in zip(gathered, columns, strict=True):
            into[rows] = column[place[rows]]
    return {field: values.tolist() for field, values in zip(Target._fields, gathered, strict=True)}


# The class of pandas' own dtypes: of these alone `convert_dtypes(dtype_backend="pyarrow")` asks for their `base`, and would
# fail for another that NumPy does not know. It has no public name.
if TYPE_CHECKING:
    _OwnDtype = ExtensionDtype
else:
    _OwnDtype = pd.CategoricalDtype.__bases__[0]


class NestedDtype(_OwnDtype):
    """The base of the dtypes of this module.

    Its name is ``object``, which pandas writes into Parquet files and DuckDB reads. Without voxops neither knows another name, and
    both would refuse the whole frame.
    """

    type = object
    kind = "O"
    name: ClassVar[str]
    base: ClassVar[np.dtype[np.object_]] = np.dtype(object)
    na_value: None = None
    array: ClassVar[Any]

    def __hash__(self) -> int:
        return ExtensionDtype.__hash__(self)

    @classmethod
    def construct_array_type(cls) -> Any:
        """Return the class of its arrays."""
        return cls.array

    def __str__(self) -> str:
        return "object"

    def __repr__(self) -> str:
        return type(self).__name__


class NestedArray(ExtensionArray):
    """Cells as one object each.

    Parameters
    ----------
    cells : numpy.ndarray
        One dimension, dtype object; None is missing.
    """

    _kind: ClassVar[NestedDtype]

    def __init__(self, cells: np.ndarray[Any, np.dtype[np.object_]]) -> None:
        self._cells = cells

    @property
    def dtype(self) -> NestedDtype:
        """Its dtype."""
        return self._kind

    @property
    def nbytes(self) -> int:
        """Bytes of the references to its cells."""
        return int(self._cells.nbytes)

    @classmethod
    def _from_sequence(cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False) -> Self:  # noqa: ARG003
        values = [None if is_missing(value) else value for value in scalars]
        return cls(np.fromiter(values, object, len(values)))

    def __len__(self) -> int:
        return len(self._cells)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, int | np.integer):
            return self._cells[item]
        return type(self)(self._cells[pd.api.indexers.check_array_indexer(self, item)])

    def __setitem__(self, key: Any, value: Any) -> None:
        key = pd.api.indexers.check_array_indexer(self, key)
        if isinstance(key, int | np.integer):
            self._cells[key] = None if is_missing(value) else value
        elif isinstance(value, list | np.ndarray | pd.Series | NestedArray):
            self._cells[key] = self._from_sequence(value)._cells
        else:
            for at in np.arange(len(self))[key]:
                self[int(at)] = value

    def __iter__(self) -> Any:
        return iter(self._cells)

    def __eq__(self, other: object) -> Any:
        others = other if isinstance(other, NestedArray | np.ndarray | list) else [other] * len(self)
        return np.fromiter((one == another for one, another in zip(self, others, strict=True)), bool, len(self))

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # its cells may change

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        # Called by tools outside pandas, so in values that they know.
        return np.fromiter(map(self._plain, self._cells), object, len(self))

    def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002
        found = self._arrow()
        return found if type is None else found.cast(type)

    def _arrow(self) -> Any:
        raise NotImplementedError

    @staticmethod
    def _plain(cell: Any) -> Any:
        """Return a cell as lists, dicts and texts."""
        return cell

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return the cells in another dtype; as ``object`` they stay unchanged."""
        dtype = pd.api.types.pandas_dtype(dtype)
        if dtype == self.dtype:
            return self.copy() if copy else self
        if dtype == np.dtype(object):
            return self._cells.copy()
        if isinstance(dtype, ExtensionDtype):
            return pd.Series(self._cells, dtype=object).astype(dtype).array
        return self._cells.astype(dtype)

    @staticmethod
    def _hashable(cell: Any) -> Any:
        """Return a hashable, sortable value that is equal for equal cells."""
        raise NotImplementedError

    def _values_for_factorize(self) -> tuple[Any, Any]:
        return np.fromiter(map(self._hashable, self._cells), object, len(self)), None

    def _values_for_argsort(self) -> Any:
        return self._values_for_factorize()[0]

    def factorize(self, use_na_sentinel: bool = True) -> tuple[Any, Self]:
        """Return a number for each cell, the same for equal ones, and the unique cells, for deduplication."""
        codes, _ = pd.factorize(self._values_for_factorize()[0], use_na_sentinel=use_na_sentinel)
        numbers, first = np.unique(codes, return_index=True)
        return codes, self.take(first[numbers >= 0])

    def unique(self) -> Self:
        """Return the cells, equal ones once."""
        return self.factorize(use_na_sentinel=False)[1]

    def value_counts(self, dropna: bool = True) -> Any:
        """Count each cell, such as each list of tags; objects are named by their JSON."""
        return pd.Series(self._values_for_factorize()[0], dtype=object).value_counts(dropna=dropna)

    def isin(self, values: Any) -> Any:
        """Return which cells are equal to one of `values`; the default would compare the values for other tools."""
        wanted = {self._sought(value) for value in values}
        return np.fromiter((self._sought(cell) in wanted for cell in self._cells), bool, len(self))

    @classmethod
    def _sought(cls, value: Any) -> Any:
        """Convert a searched value as `_hashable` converts cells."""
        return None if is_missing(value) else cls._hashable(value) if _is_list(value) else json_text(value)

    def isna(self) -> Any:
        """Return which cells are missing."""
        return np.fromiter((cell is None for cell in self._cells), bool, len(self))

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """Return cells by their places."""
        places: Any = np.asarray(indices, np.intp)
        taken: Any = take(self._cells, places, allow_fill=allow_fill)
        if allow_fill:
            taken[places == -1] = None if is_missing(fill_value) else fill_value
        return type(self)(taken)

    def copy(self) -> Self:
        """Return a copy; the cells themselves are shared."""
        return type(self)(self._cells.copy())

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        return cls(np.concatenate([array._cells for array in to_concat]))

    def _cast_pointwise_result(self, values: Any) -> Any:
        # `Series.map` of cells may return any type, such as the number of targets.
        found: Any = pd.Series(np.fromiter(values, object, len(values))).infer_objects()
        return found.array

    def _explode(self) -> tuple[Any, Any]:
        """Return each entry of a list as a row, an empty list as one missing row."""
        counts = np.fromiter((max(len(cell), 1) if _is_list(cell) else 1 for cell in self), np.uint64, len(self))
        found = np.empty(int(counts.sum()), object)
        at = 0
        for cell in self:
            for entry in (cell or (np.nan,)) if _is_list(cell) else (cell,):
                found[at] = entry
                at += 1
        return found, counts

    def _formatter(self, boxed: bool = False) -> Any:  # noqa: ARG002
        return repr


# pyarrow is optional and takes longer to load than voxops, so it is imported only on use.


def strings(values: Sequence[str | None]) -> Any:
    """Return texts as an Arrow array; a lone surrogate, which UTF-8 lacks, becomes a question mark."""
    import pyarrow as pa

    try:
        return pa.array(values, type=pa.string())
    except UnicodeEncodeError:
        return pa.array([None if value is None else well_formed(value) for value in values], type=pa.string())


def targets_type() -> Any:
    """Arrow's type of the column ``targets``."""
    import pyarrow as pa

    fields = [(name, pa.int64() if name == "retry_count" else pa.string()) for name in Target._fields]
    return pa.list_(pa.struct(fields))


class TargetsArray(NestedArray):
    """The targets of posts."""

    def _arrow(self) -> Any:
        import pyarrow as pa

        groups = [cell if isinstance(cell, Targets) else Targets.of(cell or ()) for cell in self._cells]
        fields = gather(groups)
        kinds = list(targets_type().value_type)
        columns = [
            strings(fields[kind.name]) if kind.type == pa.string() else pa.array(fields[kind.name], type=kind.type)
            for kind in kinds
        ]
        ends = pa.array(np.cumsum([0, *map(len, groups)]), type=pa.int32())
        missing = pa.array(self.isna())
        structs = pa.StructArray.from_arrays(columns, fields=kinds)
        return pa.ListArray.from_arrays(ends, structs, mask=missing if missing.true_count else None)

    @staticmethod
    def _plain(cell: Any) -> Any:
        return None if cell is None else [each._asdict() if isinstance(each, Target) else each for each in cell]

    @staticmethod
    def _hashable(cell: Any) -> Any:
        return json_text(TargetsArray._plain(cell))


class ListArray(NestedArray):
    """Lists of texts; other values in them become JSON in Arrow."""

    def _arrow(self) -> Any:
        import pyarrow as pa

        cells = (None if cell is None else [well_formed(text(each)) for each in cell] for cell in self._cells)
        return pa.array(cells, pa.list_(pa.string()))

    @staticmethod
    def _plain(cell: Any) -> Any:
        return None if cell is None else list(map(text, cell))

    @staticmethod
    def _hashable(cell: Any) -> Any:
        return None if cell is None else tuple(cell)


class JsonArray(NestedArray):
    """Any JSON values."""

    @staticmethod
    def _plain(cell: Any) -> Any:
        return json_text(cell)

    _hashable = _plain

    def _arrow(self) -> Any:
        return strings(list(map(json_text, self._cells)))


class TargetsDtype(NestedDtype):
    """The dtype of the column ``targets`` of posts."""

    name = "targets"
    array = TargetsArray


class ListDtype(NestedDtype):
    """The dtype of lists of texts, such as ``tags``."""

    name = "list"
    array = ListArray


class JsonDtype(NestedDtype):
    """The dtype of JSON values, such as ``metadata``."""

    name = "json"
    array = JsonArray


TargetsArray._kind, ListArray._kind, JsonArray._kind = TargetsDtype(), ListDtype(), JsonDtype()


def is_missing(value: Any) -> bool:
    """Whether a value is missing; a list or a tuple of any length is not."""
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _is_list(cell: Any) -> bool:
    return isinstance(cell, list | tuple | Targets) and not isinstance(cell, Target)
