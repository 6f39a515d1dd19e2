"""The campaigns that a workspace knows, and names that are close to them."""

from __future__ import annotations

import html
import re
from contextlib import ExitStack

import pytest
from tests.chaos import world

import voxops as vx
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.acts.keys import doubt_of_name


def of(sheet, campaign, **options):
    return plan_create(sheet, key="row_id", campaign=campaign, **options)


@pytest.fixture
def desk(sandbox, tmp_path):
    """A sheet, and workspaces with ledgers of their own, by name; they know in which field posts name their campaign."""
    with ExitStack() as stack:

        def connected(name):
            fields = {"campaign_field": "campaign"}
            return stack.enter_context(vx.connect(sandbox=sandbox, ledger=tmp_path / name, **fields))

        yield world.campaign(world.accounts(sandbox), 3), connected


def test_the_campaigns_are_those_of_the_ledger_and_of_loaded_posts_as_they_were_written_last(desk, sandbox):
    sheet, connected = desk
    ws, other = connected("one"), connected("two")
    assert ws.campaigns().empty
    begun = sandbox.now()
    for name, rows in (('KW 10 "a"', sheet.head(2)), ("Herbst", sheet.head(1)), ("KW 10 “A”", sheet.assign(twin=True))):
        ws.run(of(rows.assign(content=rows["content"] + " " + name[:2]), name)).wait(60)
        sandbox.advance(60)
    ws.run(of(sheet.assign(content="", row_id=list("xyz")), "nothing of it was sent")).wait(60)
    table = ws.campaigns()
    assert table[["campaign", "rows"]].to_numpy().tolist() == [["KW 10 “A”", 3], ["Herbst", 1]]
    assert (table["first_at"] <= table["last_at"]).all()
    assert begun <= table["first_at"].min() <= table["last_at"].max() <= sandbox.now()
    assert table.dtypes.astype(str).to_dict() == {
        "campaign": "string", "rows": "Int64", "first_at": "datetime64[us, UTC]", "last_at": "datetime64[us, UTC]",
    }  # fmt: skip
    assert other.campaigns().empty
    other.posts(status="scheduled")
    there = other.campaigns()
    rows = dict(zip(there["campaign"], there["rows"], strict=True))
    assert (rows["KW 10 “A”"], rows["Herbst"]) == (3, 1)
    assert len(rows) > 2, "the sandbox's own campaigns"
    assert eventloop.run(other.aio.campaigns()).equals(there)


MEANT = "The campaign 'KW 1O' is new here; did you mean 'KW 10'?"


def test_a_name_close_to_a_known_one_is_named_before_anything_is_sent(desk, sandbox):
    sheet, connected = desk
    ws = connected("one")
    for name in ("KW 10", "KW 11"):  # which is another week
        ws.run(of(sheet.assign(content=sheet["content"] + name), name)).wait(60)
    synced = vx.plan_sync(sheet, ws.posts(campaign="KW 10"), key="row_id", campaign="KW 1O")
    assert MEANT in repr(synced)
    assert MEANT in html.unescape(re.sub("<[^>]+>", "", synced._repr_html_()))
    assert "did you mean" not in repr(vx.plan_sync(sheet, ws.posts(campaign="KW 10"), key="row_id", campaign="kw 11"))
    uploaded = ws.upload(sheet.assign(media=None))
    assert MEANT in repr(of(uploaded, "KW 1O"))
    with pytest.warns(UserWarning, match=re.escape(MEANT)):
        ws.run(of(sheet, "KW 1O").canary(1)).wait(60)
    assert len(sandbox.effects("post.create")) == 7


@pytest.mark.parametrize(("name", "meant"), [
    ("KW 10", ""), ("kw\u00a010", ""), ("KW 1O", "KW 10"), ("KV 10", "KW 10"), ("KW10", "KW 10"), ("KW 12", ""), ("KW l0", "KW 10"),
    ("herbst", ""), ("Herbts", "Herbst"), ("Winter", ""), ("", ""), ("„Sale“", ""),
])  # fmt: skip
def test_only_a_name_that_is_new_and_close_to_another_is_doubted(name, meant):
    said = doubt_of_name(name, ["KW 10", "KW 11", "Herbst", '"Sale"'])
    assert said == (f"The campaign {name!r} is new here; did you mean {meant!r}?" if meant else "")
