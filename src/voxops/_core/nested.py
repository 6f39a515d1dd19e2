"""The one thing nest-asyncio is honest for: users whose *own* code calls ``asyncio.run`` in a cell.

voxops itself needs none of it: its calls run on a loop of their own. Nothing is patched unless `allow_nested_loops` is called.
"""

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
        What was applied: ``"nest_asyncio2"`` where it is importable, else ``"nest_asyncio"``.

    Raises
    ------
    ConfigError
        If ``nest_asyncio`` would be applied to ipykernel 7.1 or newer, where it silently loses queued cells, or was applied to it
        already, which can't be undone; or if neither package is installed.

    Examples
    --------
    >>> vx.allow_nested_loops()  # doctest: +SKIP
    """
    kernel = _kernel_version()
    loses = kernel is not None and kernel >= _LOSES_CELLS
    patched_by_old = getattr(asyncio, "_nest_patched", False) and not getattr(asyncio, "_nest_asyncio2", False)
    if patched_by_old and loses:
        raise ConfigError(
            "nest_asyncio has been applied in this kernel already, and with ipykernel 7.1 or newer it loses the cells queued "
            "behind a blocking one. Take nest_asyncio.apply() out of the notebook and restart the kernel."
        )
    if importlib.util.find_spec("nest_asyncio2") is not None:
        importlib.import_module("nest_asyncio2").apply()
        return "nest_asyncio2"
    if loses:
        raise ConfigError(
            "nest_asyncio loses cells that are queued behind a blocking one with ipykernel 7.1 or newer; "
            "install nest_asyncio2 and call this again. voxops' own calls need neither."
        )
    if importlib.util.find_spec("nest_asyncio") is None:
        raise ConfigError(
            "neither nest_asyncio2 nor nest_asyncio is installed; install nest_asyncio2 and call this again"
        )
    importlib.import_module("nest_asyncio").apply()
    return "nest_asyncio"


def _kernel_version() -> tuple[int, int] | None:
    """Major and minor version of ipykernel, None where it is not installed."""
    try:
        major, minor, *_ = version("ipykernel").split(".")
    except PackageNotFoundError:
        return None
    return int(major), int(minor)
