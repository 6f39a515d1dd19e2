"""For cells that call ``asyncio.run`` themselves; voxops needs no such patch."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version

from voxops.errors import ConfigError

__all__ = ["allow_nested_loops"]

_LOSES_CELLS = (7, 1)  # from this ipykernel on, nest_asyncio 1.6 silently drops the cells queued behind a blocking one


def allow_nested_loops() -> str:
    """Let *your own* code call ``asyncio.run`` and ``run_until_complete`` inside a cell.

    Returns
    -------
    str
        The applied package: ``"nest_asyncio2"`` if it is importable, else ``"nest_asyncio"``.

    Raises
    ------
    ConfigError
        If neither package is installed, or ``nest_asyncio`` would be applied to ipykernel 7.1 or newer, where it silently loses
        queued cells. Also if it was applied there already, which can't be undone.

    Examples
    --------
    >>> vx.allow_nested_loops()  # doctest: +SKIP
    """
    try:
        loses = tuple(map(int, version("ipykernel").split(".")[:2])) >= _LOSES_CELLS
    except PackageNotFoundError:
        loses = False
    patched_by_old = getattr(asyncio, "_nest_patched", False) and not getattr(asyncio, "_nest_asyncio2", False)
    if patched_by_old and loses:
        raise ConfigError(
            "nest_asyncio has been applied in this kernel already, and with ipykernel 7.1 or newer it loses the cells queued "
            "behind a blocking one. Take nest_asyncio.apply() out of the notebook and restart the kernel."
        )
    name = next((each for each in ("nest_asyncio2", "nest_asyncio") if importlib.util.find_spec(each)), None)
    if loses and name != "nest_asyncio2":
        raise ConfigError(
            "nest_asyncio loses cells that are queued behind a blocking one with ipykernel 7.1 or newer; "
            "install nest_asyncio2 and call this again. voxops' own calls need neither."
        )
    if name is None:
        raise ConfigError(
            "neither nest_asyncio2 nor nest_asyncio is installed; install nest_asyncio2 and call this again"
        )
    importlib.import_module(name).apply()
    return name
