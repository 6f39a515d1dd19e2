"""The templates of all displays and reports (Jinja2, in ``templates/``), and what makes them safe.

Post contents, messages and names are untrusted. Every value that a template writes becomes one line without control or reordering
characters, and is escaped. A name that the context lacks is an error. Templates have loops and conditions, no other logic.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from voxops._support import safe

_LONGEST = 4_000  # characters of a text; no cause, message or remedy is longer


def _text(value: Any) -> Any:
    """Return a value as one safe line; markup, which only templates make, stays."""
    return value if hasattr(value, "__html__") else safe.plain(value, _LONGEST)


_ENVIRONMENT = Environment(
    loader=PackageLoader("voxops.views"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_text,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["number"] = "{:,}".format


def draw(template: str, **context: Any) -> str:
    """Return a template of ``templates/`` filled with values, which it escapes."""
    return _ENVIRONMENT.get_template(template).render(context)
