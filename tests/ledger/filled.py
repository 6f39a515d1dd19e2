"""What the tests of the ledger write into it, and what a piece of work changes in the file."""

from dataclasses import replace

from tests.acts.support import item

from voxops.acts.act import Subject
from voxops.acts.create import CREATE
from voxops.ledger.records import RunHead, RunRow

START = 1_772_442_000.0
NOW = START + 50


def row(name, **body):
    """A row of a sheet."""
    asked = {"content": name, "accountIds": ["acc"], "scheduledFor": "2027-01-01T00:00:00+00:00", **body}
    wanted = item("create", Subject("row", name), "/v1/posts/bulk", asked, campaign="c", row=name)
    return replace(wanted, identity=name)


def add(ledger, *items):
    """Requests that are unsent."""
    ids = [ledger.requests.add(each, asked=each.attempt, alike=None, now=START) for each in items]
    found = ledger.requests.get(ids)
    return [found[each] for each in ids]


def send(ledger, requests, **options):
    """Write their call as sent."""
    form = CREATE.form([one.item for one in requests])
    details = {"run": "run", "baseline": {"x": 1}, "credential": "c", "now": START, **options}
    return ledger.calls.send(form, requests, **details)


def start(ledger, run, requests):
    """A run with these rows, each in the first chunk."""
    rows = [RunRow(number, one.id, chunk=1) for number, one in enumerate(requests)]
    head = RunHead(run, action="create", campaign="c", key_column="row_id", not_eligible=0, created=START)
    ledger.runs.start(head, rows, reason=None, frame=b"")


TABLES = ("meta", "requests", "calls", "call_rows", "runs", "frames", "run_rows", "seen")


def cells(ledger):
    """Every cell of the ledger, by table, what names its row, and column."""
    found = {}
    for table in TABLES:
        keys = [each["name"] for each in ledger.query(f"PRAGMA table_info({table})") if each["pk"]]
        for each in ledger.query(f"SELECT * FROM {table}"):
            name = tuple(each[key] for key in keys)
            found |= {(table, *name, column): each[column] for column in each.keys()}  # noqa: SIM118  a row is no mapping
    return found


def change(ledger, work):
    """The cells that are other than before once a piece of work is done; None for those that are gone."""
    before = cells(ledger)
    work()
    after = cells(ledger)
    places = before | after
    return {place: after.get(place) for place in places if before.get(place, "none") != after.get(place, "none")}


def of(table, name, **values):
    """Cells of one row."""
    return {(table, name, column): value for column, value in values.items()}
