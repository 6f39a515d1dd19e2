"""Every frame that a user can hold, made of one small campaign: for the page of the columns, and for the tests."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

import voxops as vx
from voxburst_sandbox import Sandbox

Makers = Mapping[str, tuple[str, Callable[[Any], pd.DataFrame]]]

CAMPAIGN = pd.DataFrame({"row_id": ["a", "b"], "content": ["x", "y"], "accounts": "acc_1"}, dtype="string")
CAMPAIGN["scheduled_for"] = pd.array(["2026-03-05T09:00Z", None], dtype="string")
for _name in ("media", "first_comment", "tags"):
    CAMPAIGN[_name] = pd.array([None, None], dtype="string")

# What each frame is called, the call that returns it, and how it is made.
FRAMES: Makers = {
    "posts": ("ws.posts", lambda c: c.posts),
    "targets": ("vx.targets", lambda c: vx.targets(c.posts)),
    "triaged": ("vx.triage", lambda c: c.triaged),
    "causes": ("vx.causes", lambda c: vx.causes(c.triaged)),
    "copies in a frame": ("vx.copies", lambda c: vx.copies(c.posts)),
    "columns": ("vx.columns", lambda c: vx.columns(c.triaged).reset_index()),
    "deliveries": ("ws.deliveries", lambda c: c.log),
    "statistics": ("vx.deliveries.stats", lambda c: vx.deliveries.stats(c.log, by=["day", "endpoint"])),
    "causes by week": ("vx.causes", lambda c: vx.causes(c.triaged, by="week", tz="Europe/Berlin")),
    "outages": ("vx.deliveries.outages", lambda c: vx.deliveries.outages(c.log)),
    "duplicates": ("vx.deliveries.duplicates", lambda c: vx.deliveries.duplicates(c.log)),
    "never delivered": ("vx.deliveries.lost", lambda c: vx.deliveries.lost(c.log)),
    "weeks compared": ("vx.causes", lambda c: vx.causes(c.triaged, against="7D")),
    "made": ("run.made", lambda c: c.created.made()),
    "accounts": ("ws.accounts", lambda c: c.ws.accounts()),
    "checked accounts": ("ws.accounts", lambda c: c.ws.accounts(check=True)),
    "webhooks": ("ws.webhooks", lambda c: c.ws.webhooks()),
    "read campaign": ("vx.read_campaign", lambda c: vx.read_campaign(c.folder / "campaign.csv")),
    "checked campaign": ("ws.check", lambda c: c.ws.check(CAMPAIGN)),
    "uploaded campaign": ("ws.upload", lambda c: c.ws.upload(CAMPAIGN)),
    "uploads": ("ws.upload", lambda c: c.ws.upload([c.folder / "menu.pdf", c.folder / "none.pdf"])),
    "plan of a retry": ("plan.frame", lambda c: vx.plan_retry(c.triaged).frame),
    "plan of a fix": ("plan.frame", lambda c: vx.plan_fix(c.fixed).frame),
    "plan of a cancel": ("plan.frame", lambda c: vx.plan_cancel(c.posts[c.posts["status"] == "scheduled"]).frame),
    "plan of a redelivery": ("plan.frame", lambda c: c.redelivery.frame),
    "plan of creates": ("plan.frame", lambda _: vx.plan_create(CAMPAIGN, key="row_id").frame),
    "results": ("run.results", lambda c: c.run.results()),
    "failed rows": ("run.failed", lambda c: c.run.failed()),
    "rows to mend": ("run.to_mend", lambda c: c.run.to_mend()),
    "copies": ("run.copies", lambda c: c.run.copies()),
    "watched": ("run.results", lambda c: c.ws.watch(c.posts["post_id"].head(2)).results()),
    "campaigns": ("ws.campaigns", lambda c: c.ws.campaigns()),
    "runs": ("ws.runs", lambda c: c.ws.runs().reset_index()),
    "ledger": ("ws.ledger", lambda c: c.ws.ledger()),
    "reconciled": ("ws.reconcile", lambda c: c.ws.reconcile()),
    "matrix": ("vx.matrix", lambda _: vx.matrix()),
    "archived posts": ("archive.posts", lambda c: c.archive.posts()),
    "archived deliveries": ("archive.deliveries", lambda c: c.archive.deliveries()),
    "answer of SQL": ("archive.sql", lambda c: c.archive.sql("SELECT post_id, len(targets) AS n, created_at, tags FROM posts")),
}  # fmt: skip

# The same calls with arguments that add columns, and frames that are no result of a function: attributes and parts of reports.
MORE: Makers = {
    "posts of owners": ("ws.posts", lambda c: c.owned),
    "targets of owners": ("vx.targets", lambda c: vx.targets(c.owned)),
    "causes of owners": ("vx.causes", lambda c: vx.causes(vx.triage(c.owned))),
    "targets after tries": ("vx.triage", lambda c: vx.triage(c.ws.posts())),
    "plan of changes": ("plan.frame", lambda c: vx.plan_update(c.waiting, by="1D", change="later").frame),
    "plan of new texts": ("plan.frame", lambda c: vx.plan_update(c.waiting.assign(new_content="new", new_tags="a;b"), change="t").frame),
    "plan of a sync": ("plan.frame", lambda c: vx.plan_sync(CAMPAIGN, c.owned, key="row_id", campaign="spring").frame),
    "results of creates": ("run.results", lambda c: c.created.results()),
    "rows that did not go": ("report.frames", lambda c: c.report["left"]),
}  # fmt: skip


@contextmanager
def scene() -> Iterator[SimpleNamespace]:
    """What the frames are made of: a workspace in a sandbox of its own, a posts frame, a log, an archive and three runs."""
    with (
        tempfile.TemporaryDirectory() as place,
        Sandbox(seed=7, speed=0, rate_limit=None, posts=60, deliveries=100) as sandbox,
        vx.connect(sandbox=sandbox) as ws,
    ):
        folder = Path(place)
        CAMPAIGN.to_csv(folder / "campaign.csv", index=False)
        (folder / "menu.pdf").write_bytes(b"%PDF-1.7")
        posts, log = ws.posts(), ws.deliveries()
        archive = ws.archive(folder / "history")
        archive.sync()
        triaged = vx.triage(vx.targets(posts))
        run = ws.run(vx.plan_retry(triaged).canary(1))
        run.wait()
        created = ws.run(vx.plan_create(CAMPAIGN.head(1), key="row_id", campaign="spring")).wait()
        redelivery = vx.plan_redeliver(log[~log["success"].fillna(False)])
        fixed = triaged.assign(new_content=pd.array(["better"] * len(triaged), dtype="string"))
        yield SimpleNamespace(
            ws=ws, sandbox=sandbox, folder=folder, posts=posts, log=log, archive=archive, triaged=triaged, run=run,
            created=created, redelivery=redelivery, fixed=fixed,
        )  # fmt: skip


def all_frames() -> dict[str, tuple[str, pd.DataFrame]]:
    """Name -> call and frame, of both tables."""
    with warnings.catch_warnings(), scene() as c:
        warnings.simplefilter("ignore")
        found = {name: (call, make(c)) for name, (call, make) in FRAMES.items()}
        with vx.connect(sandbox=c.sandbox, owner_field="owner", campaign_field="campaign") as ws:
            c.owned = ws.posts()
        c.waiting = c.posts[c.posts["status"] == "scheduled"]
        c.report = vx.report(c.created).frames
        return found | {name: (call, make(c)) for name, (call, make) in MORE.items()}
