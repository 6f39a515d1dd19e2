"""What was found about a row, and how it is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxops.api.matrix import Endpoint

__all__ = ["Finding", "summary"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about a row.

    Attributes
    ----------
    row : Endpoint
        The row.
    differs : tuple of str
        What is not as the row says; empty if all is well.
    untried : str
        Why the row could not be tried; empty if it was.
    """

    row: Endpoint
    differs: tuple[str, ...] = ()
    untried: str = ""

    @property
    def ok(self) -> bool:
        """Whether the row was tried and all is well."""
        return not self.differs and not self.untried

    def __str__(self) -> str:
        said = "; ".join(self.differs) or (f"not looked at: {self.untried}" if self.untried else "ok")
        return f"{self.row.row} {self.row}: {' '.join(said.split())}"


def summary(findings: Sequence[Finding]) -> str:
    """Count rows, in one line."""
    return f"matrix: rows={len(findings)} ok={sum(finding.ok for finding in findings)}"
