"""The SQL of docs/how-to/long-history.md, as it stands there, against `vx.deliveries` on the same deliveries; and what it needs."""

from __future__ import annotations

import re
import subprocess
import sys

import pandas as pd
import pytest
from tests.analysis.makers import gappy
from tests.docs import DOCS

import voxops as vx
from voxops.archive import Archive
from voxops.archive.store import Store

TZ = "Europe/Berlin"
QUERIES = dict(re.findall(r'^(days|losses) = """\n(.*?)^"""', (DOCS / "how-to" / "long-history.md").read_text("utf-8"), re.DOTALL | re.MULTILINE))  # fmt: skip


def log_with_events() -> pd.DataFrame:
    """A log with every kind of gap, in which some failed events were also delivered, and around a change of clocks."""
    log = gappy()
    log["created_at"] += pd.Timestamp("2026-03-26T22:00Z") - log["created_at"].min()
    events = pd.Series(log.index // 3, index=log.index).astype(str)
    log["response_body"] = ("received evt_" + events).where(log.index % 2 == 0).astype("string")
    log.loc[log.index % 13 == 0, "response_body"] = "evt_none, thanks"
    return log


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("history"))
    with store.writing():
        store.merge("deliveries", log_with_events().astype({"url": "string"}))
    return Archive(store.root)


def by_day(frame: pd.DataFrame) -> pd.DataFrame:
    """The days without their zone as labels, and plain numbers."""
    days = frame["day"].dt.tz_localize(None)
    return frame.drop(columns="day").astype("float64").set_index(days).sort_index()


def test_each_figure_of_a_day_is_that_of_the_statistics(archive):
    found = by_day(archive.sql(QUERIES["days"]))
    expected = by_day(vx.deliveries.stats(archive.deliveries(), by="day", tz=TZ))
    assert len(found) > 12
    assert found.index.hasnans, "deliveries without a time have a row"
    pd.testing.assert_frame_equal(found, expected[found.columns], check_exact=True)


@pytest.mark.parametrize("age", ["24h", "5D"])
def test_each_days_losses_are_those_of_the_list(archive, age):
    log = archive.deliveries()
    now = log["created_at"].max()
    lost = vx.deliveries.lost(log, now=now, older_than=age)
    found = archive.sql(QUERIES["losses"], {"before": now - pd.Timedelta(age)})
    expected = lost.groupby(lost["created_at"].dt.tz_convert(TZ).dt.tz_localize(None).dt.normalize()).size()
    assert found.set_index("day")["lost"].to_dict() == expected.to_dict()
    unread = vx.deliveries.lost(log.assign(response_body=""), now=now, older_than=age)
    assert 0 < len(lost) < len(unread), "some events came by another delivery"


OFFLINE = """
import socket, sys

class Without:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name=name)

def refuse(*_):
    raise AssertionError("a connection")

sys.meta_path.insert(0, Without())
import voxops as vx
from voxops.archive import Archive
from voxops.archive.store import connected

with vx.connect(sandbox=True) as ws:
    archive = ws.archive(sys.argv[1])
    archive.sync()
    posts, log = ws.posts(), ws.deliveries()
socket.socket.connect = socket.getaddrinfo = refuse
with connected() as connection:
    connection.execute("SET autoinstall_known_extensions = false")
    bundled = connection.execute("SELECT installed AND loaded AND install_mode = 'STATICALLY_LINKED' FROM duckdb_extensions() WHERE extension_name = 'icu'")
    assert bundled.fetchall() == [(True,)]
archive = Archive(sys.argv[1])
assert archive.posts().equals(posts) and archive.deliveries().equals(log)
days = archive.sql("SELECT (created_at AT TIME ZONE 'Australia/Lord_Howe')::DATE AS day, count(*) AS n FROM deliveries GROUP BY ALL ORDER BY ALL")
counts = log.groupby(log["created_at"].dt.tz_convert("Australia/Lord_Howe").dt.tz_localize(None).dt.normalize()).size()
assert days.set_index("day")["n"].to_dict() == counts.to_dict()
assert "pyarrow" not in sys.modules
"""


def test_it_needs_neither_pyarrow_nor_an_extension_nor_the_network(tmp_path):
    """Pages, frames and time zones alike, where pyarrow is not installed and the home folder has no extension."""
    home = {"HOME": str(tmp_path), "PATH": "", "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", OFFLINE, str(tmp_path / "history")], env=home, capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.rglob("*.duckdb_extension*"))
