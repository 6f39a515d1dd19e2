"""What was made at one address says nothing about another, even where workspaces have one id, as in a copy for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxops.client import AsyncClient
from voxops.connection import _ledger
from voxops.errors import LedgerError

WHO = {"workspaceId": "ws_1"}


def use(path: Path, url: str, who: dict[str, str] = WHO) -> None:
    book = _ledger(AsyncClient("sk_test_0123456789abcdef", url=url), path, who)
    assert book is not None
    book.close()


def test_a_ledger_of_a_staging_host_is_not_used_for_production(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    use(path, "https://staging.voxburst.io")
    use(path, "https://Staging.VoxBurst.io:8443/api")
    with pytest.raises(
        LedgerError, match=r"belongs to host staging\.voxburst\.io, not to api\.voxburst\.io; give another"
    ):
        use(path, "https://api.voxburst.io")
    with pytest.raises(LedgerError, match="belongs to workspace ws_1, not to ws_2"):
        use(path, "https://staging.voxburst.io", {"workspaceId": "ws_2"})


def test_all_addresses_of_this_machine_are_one_host(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    for url in ("http://127.0.0.1:8000", "http://localhost:9000", "http://[::1]:7000"):
        use(path, url)
    with pytest.raises(LedgerError, match="belongs to host localhost, not to api"):
        use(path, "https://api.voxburst.io")


def test_a_ledger_of_before_belongs_to_the_host_that_uses_it_next(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    use(path, "https://api.voxburst.io")
    book = _ledger(AsyncClient("sk_test_0123456789abcdef", url="https://api.voxburst.io"), path, WHO)
    assert book is not None
    book.query("DELETE FROM meta WHERE name = 'host'")
    book.close()
    use(path, "https://eu.voxburst.io")
    with pytest.raises(LedgerError, match="belongs to host eu"):
        use(path, "https://api.voxburst.io")
