"""Columns whose cells are lists or objects: plain Python to whoever reads a cell, and something that Arrow can hold.

pandas would keep such cells as ``object``, for which Arrow guesses a type from what the cells happen to hold: it fails on the
lazy targets of posts, on objects without fields, and where two rows differ. Here the type is fixed by the column:

==========  ================================  ===================================================
column      a cell                            Arrow, Parquet, Polars, DuckDB
==========  ================================  ===================================================
targets     `Targets`                         a list of structs with the fields of `Target`
list        a tuple                           a list of texts
json        any JSON value                    its text
==========  ================================  ===================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

from voxops._support.canonical import json_text, text
from voxops.frames.target import Target, Targets


class NestedDtype(ExtensionDtype):
    """What the dtypes of this module share.

    As text it is ``object``: the name that pandas writes into a Parquet file and that DuckDB asks for. Neither knows a name of
    ours where voxops is not loaded, and both would refuse the whole frame.
    """

    type = object
    kind = "O"
    na_value = None
    array: ClassVar[Any]

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
        values = [None if _missing(value) else value for value in scalars]
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
            self._cells[key] = None if _missing(value) else value
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

    __hash__ = None  # type: ignore[assignment]  # its cells may change

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        # What tools outside pandas ask for, so in values that they know.
        return np.fromiter(map(self._plain, self._cells), object, len(self))

    def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002
        found = self._arrow()
        return found if type is None else found.cast(type)

    def _arrow(self) -> Any:
        """The column for Arrow."""
        raise NotImplementedError

    @staticmethod
    def _plain(cell: Any) -> Any:
        """A cell as lists, dicts and texts."""
        return cell

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return the cells in another dtype; as ``object`` they stay what they are."""
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
        """A cell as what is equal for equal cells, and can be hashed and sorted, which its objects can't."""
        raise NotImplementedError

    def _values_for_factorize(self) -> tuple[Any, Any]:
        return np.fromiter(map(self._hashable, self._cells), object, len(self)), None

    def _values_for_argsort(self) -> Any:
        return self._values_for_factorize()[0]

    def factorize(self, use_na_sentinel: bool = True) -> tuple[Any, Self]:
        """Return a number for each cell, the same for equal ones, and the cells that they stand for: rows are deduplicated by it."""
        codes, _ = pd.factorize(self._values_for_factorize()[0], use_na_sentinel=use_na_sentinel)
        numbers, first = np.unique(codes, return_index=True)
        return codes, self.take(first[numbers >= 0])

    def unique(self) -> Self:
        """Return the cells, equal ones once."""
        return self.factorize(use_na_sentinel=False)[1]

    def value_counts(self, dropna: bool = True) -> Any:
        """Return how often each cell is there, such as each list of tags; objects are named by their JSON."""
        return pd.Series(self._values_for_factorize()[0], dtype=object).value_counts(dropna=dropna)

    def isin(self, values: Any) -> Any:
        """Return which cells are equal to one of `values`; pandas' own would compare what other tools get of them."""
        wanted = {self._sought(value) for value in values}
        return np.fromiter((self._sought(cell) in wanted for cell in self._cells), bool, len(self))

    @classmethod
    def _sought(cls, value: Any) -> Any:
        """A value that somebody looks for, as `_hashable` has cells."""
        return None if _missing(value) else cls._hashable(value) if _is_list(value) else json_text(value)

    def isna(self) -> Any:
        """Return which cells are missing."""
        return np.fromiter((cell is None for cell in self._cells), bool, len(self))

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """Return cells by their places."""
        places: Any = np.asarray(indices, np.intp)
        taken: Any = take(self._cells, places, allow_fill=allow_fill)
        if allow_fill:
            taken[places == -1] = None if _missing(fill_value) else fill_value
        return type(self)(taken)

    def copy(self) -> Self:
        """Return a copy; the cells themselves are shared."""
        return type(self)(self._cells.copy())

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        return cls(np.concatenate([array._cells for array in to_concat]))

    def _cast_pointwise_result(self, values: Any) -> Any:
        # What `Series.map` makes of cells, such as how many targets a post has, is whatever it is.
        found: Any = pd.Series(np.fromiter(values, object, len(values))).infer_objects()
        return found.array

    def _explode(self) -> tuple[Any, Any]:
        """Each entry of a list as a row of its own, a list without any as one missing row."""
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


class TargetsArray(NestedArray):
    """The targets of posts."""

    def _arrow(self) -> Any:
        # pyarrow is an optional package, which takes longer to load than all of voxops
        from voxops.frames.arrow_out import target_lists

        return target_lists(self._cells)

    @staticmethod
    def _plain(cell: Any) -> Any:
        return None if cell is None else [each._asdict() if isinstance(each, Target) else each for each in cell]

    @staticmethod
    def _hashable(cell: Any) -> Any:
        return json_text(TargetsArray._plain(cell))


class ListArray(NestedArray):
    """Lists of texts, as tuples."""

    def _arrow(self) -> Any:
        from voxops.frames.arrow_out import string_lists  # as above

        return string_lists(self._cells)

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
        from voxops.frames.arrow_out import json_texts  # as above

        return json_texts(self._cells)


class TargetsDtype(NestedDtype):
    """Of the column ``targets`` of posts."""

    name = "targets"
    array = TargetsArray


class ListDtype(NestedDtype):
    """Of lists of texts, such as ``tags``."""

    name = "list"
    array = ListArray


class JsonDtype(NestedDtype):
    """Of JSON values, such as ``metadata``."""

    name = "json"
    array = JsonArray


TargetsArray._kind, ListArray._kind, JsonArray._kind = TargetsDtype(), ListDtype(), JsonDtype()


def _missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def _is_list(cell: Any) -> bool:
    """Whether a cell has entries that become rows."""
    return isinstance(cell, list | tuple | Targets) and not isinstance(cell, Target)
