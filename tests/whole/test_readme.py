"""Every block of the README runs, in order, in one notebook against the sandbox, and shows or does something."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.kernel import Kernel

HOME = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (HOME / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.release
@pytest.mark.kernel
@pytest.mark.timeout(900)
def test_its_blocks_run_in_order_and_leave_what_they_name(tmp_path: Path) -> None:
    assert len(BLOCKS) >= 6
    shutil.copytree(HOME / "data", tmp_path / "data")
    with Kernel(tmp_path) as kernel:
        cells = kernel.run(*BLOCKS, patience=800)
        for cell in cells:
            assert cell.status == "ok", f"{cell.status or 'lost'}: {cell.code}\n{cell.traceback or cell.text}"
        silent = [cell.code for cell in cells if not cell.bundles and not cell.text]
        assert silent == []
        assert "TOKEN_EXPIRED" in str(cells[0].bundles)
        assert kernel.do("print(len(vx.plan_create(campaign, key='row_id', campaign='spring 2026').frame))").isdigit()
    for name in ("triage.html", "triage.xlsx", "history"):
        assert (tmp_path / name).exists()
