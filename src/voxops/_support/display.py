"""How a plan and a frame of causes show themselves: by the views, which stand above them and are loaded at the first display."""

from __future__ import annotations

from typing import Any, ClassVar


class Displayed:
    """Base of what a notebook cell shows as ``vx.view`` does."""

    _view: ClassVar[staticmethod[[Any], Any]]  # set by the package

    def _repr_html_(self) -> str:
        return str(self._view(self)._repr_html_())
