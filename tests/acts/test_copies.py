"""Posts that are there twice, found in a frame, counted at the server (rule 19)."""

import pandas as pd
import pytest
from tests.chaos import world
from tests.virtual import workspace

import voxops as vx
from voxops.acts.posts import Marked, created_twice


def test_rule_19_a_copy_is_withdrawn_from_any_ledger_and_what_became_another_post_stays(sandbox, tmp_path):
    rows = world.campaign(world.accounts(sandbox), 4).assign(row_id=list("abcd"))
    with workspace(sandbox, ledger=tmp_path / "first") as ws, workspace(sandbox, ledger=tmp_path / "second") as other:
        run = ws.run(vx.plan_create(rows, key="row_id", campaign="spring")).wait(60)
        made = run.made()
        sandbox.advance(60)
        own = dict(zip(made["row"], made["post_id"], strict=True))
        copy, edited, moved = (sandbox.person.post_copy(own[row]) for row in "abd")
        sandbox.person.edit(edited, content="Another post.")
        sandbox.person.edit(own["d"], scheduled_for="2027-04-01T09:00:00Z")
        clone = sandbox.person.duplicate(own["c"])
        assert sandbox.world.posts[clone].status == "draft", "nobody's"
        loaded = other.posts(campaign="spring")
        assert len(loaded) == 8
        found = vx.copies(loaded)
        assert dict(zip(found["post_id"], found["copy_of"], strict=True)) == {copy: own["a"], moved: own["d"]}
        assert list(found.columns) == [*loaded.columns, "copy_of"]
        assert found["copy_of"].dtype == "string"
        for same in (pd.concat([loaded, loaded.iloc[::-1]]), loaded.set_index("created_at", drop=False)):
            assert set(vx.copies(same)["post_id"]) == {copy, moved}
        assert set(run.copies()["post_id"]) == {copy, moved}, "one rule for frames and ledgers"
        other.run(vx.plan_cancel(found)).wait(60)
        assert {effect["post"] for effect in sandbox.effects("post.cancel")} == {copy, moved}
        assert vx.copies(other.posts(campaign="spring")).empty


def post(name, status="scheduled", created="1", mark="m", shown="s", as_requested=True):
    return Marked(name, status, created, mark, shown, as_requested)


@pytest.mark.parametrize(("posts", "found"), [
    ([post("a"), post("b", mark="n"), post("c", mark=None), post("d", mark=None)], []),
    ([post("b"), post("a")], [("a", ["b"])]),
    ([post("a", created="2"), post("b")], [("b", ["a"])]),
    ([post("a"), post("b", "published")], [("b", ["a"])]),
    ([post("a"), post("b", "published", shown="t", as_requested=False)], []),
    ([post("a", shown="t", as_requested=False), post("b", created="2"), post("c", created="3")], [("a", ["b", "c"])]),
    ([post("a", shown=None, as_requested=False), post("b", shown=None, as_requested=False)], []),
    *(([post("a"), post("b", status)], []) for status in ("draft", "cancelled", "failed", "deleted", "")),
    *(([post("a"), post("b", status)], [("a", ["b"])]) for status in ("approved", "publishing", "new")),
])  # fmt: skip
def test_rule_19_the_published_one_is_kept_else_the_earliest(posts, found):
    assert created_twice(posts) == found
