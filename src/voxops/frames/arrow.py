"""``vx.from_arrow``, which can be imported, and says what it needs, also where there is no Arrow."""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops.errors import ConfigError


def from_arrow(data: Any, like: pd.DataFrame | None = None) -> pd.DataFrame:
    """Bring a frame back from where it travelled: Polars, DuckDB, a Parquet file that pandas has read, any Arrow stream.

    Parameters
    ----------
    data : object
        A ``polars.DataFrame``, a relation of DuckDB, a ``pyarrow.Table``, a ``pandas.DataFrame``, or whatever else has
        ``__arrow_c_stream__``.
    like : pandas.DataFrame, optional
        The frame that it was, or one of its kind: gives the dtypes of its columns and ``attrs``. Pass it where rows are planned
        that were filtered meanwhile: a plan looks in ``attrs`` for the targets that were filtered away.

    Returns
    -------
    pandas.DataFrame
        Texts as ``string``, whole numbers as ``Int64``, times as ``datetime64[us, UTC]``, ``targets``, ``tags`` and
        ``metadata`` as ``ws.posts`` gives them, index from 0. Times without a zone stay so, as ``datetime64[us]``.

    Raises
    ------
    ConfigError
        If `data` is no such thing, two of its columns have one name, a column holds whole numbers or times that don't fit, or times
        have no zone any more that had one in `like`, or pyarrow is not installed.

    Notes
    -----
    Whole numbers fit up to 9,223,372,036,854,775,807 (int64); times are cut to microseconds.

    Examples
    --------
    >>> import pyarrow as pa
    >>> vx.from_arrow(pa.table({"row_id": ["a"]})).dtypes.astype(str).to_dict()
    {'row_id': 'string'}
    """
    try:
        from voxops.frames.arrow_in import read_arrow
    except ModuleNotFoundError as error:
        raise ConfigError(f"vx.from_arrow needs {error.name}: pip install 'voxops[archive]'") from error
    return read_arrow(data, like)
