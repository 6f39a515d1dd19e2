"""What is known against an installed package, and what can't be told, as `make audit` reports it."""

from __future__ import annotations

from typing import Any

import pytest
from tests import audit

CLEAN = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        ([CLEAN], 0, "1 packages looked up, 0 known"),
        ([CLEAN, KNOWN], 1, "b 2: PYSEC-1, mended in 3"),
        ([CLEAN, SKIPPED], audit.CANT_TELL, "can't tell for 1: c"),
        ([KNOWN, SKIPPED], 1, "can't tell for 1: c"),
        ("no such host", audit.CANT_TELL, "can't tell: no such host"),
    ],
)
def test_what_is_known_fails_and_what_cant_be_told_is_said(
    capsys: pytest.CaptureFixture[str], found: Any, status: int, said: str
) -> None:
    assert audit.told(found) == status
    assert said in capsys.readouterr().out
