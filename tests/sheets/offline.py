"""The findings of the sheet rules, without a workspace."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from voxops.loading.check import by_rules, findings_table


def findings(sheet: pd.DataFrame, now: datetime | None = None) -> pd.DataFrame:
    """As ``ws.check(sheet, ask=False)``, by a clock of one's own or by none."""
    return findings_table(sheet, by_rules(sheet, now))
