"""A new act is one class, one planner and one line in the table of acts; the engine brings it keys, readings and the ledger."""

from tests.virtual import workspace

from voxburst_sandbox import Sandbox
from voxops.acts import ACTS
from voxops.acts.act import PostAct, Subject, settled
from voxops.acts.plan import build_plan, episode_identity, post_episode, target_rows
from voxops.api.reasons import SENTENCES, Reason
from voxops.model import Outcome


class Unpublish(PostAct):
    """Takes down a live post (matrix row 9)."""

    name = "unpublish"
    verb = "take down"
    place = "POST /v1/posts/{0.id}/unpublish"
    sends = False

    def became(self, request, state, tried):
        """A reading shows that it is down."""
        return settled(request, Outcome.SUCCEEDED) if state.status == "unpublished" else None

    def done_before(self, request, state, past):
        """It was taken down already."""
        return self.became(request, state, None)


def plan_unpublish(posts):
    act = ACTS["unpublish"]

    def judge(row):
        if row["status"] != "published":
            return Reason("not_live", status=row["status"]), None
        seen = post_episode(row)
        return Reason("is_live"), act.item(
            row, Subject("post", row["post_id"]), episode_identity("unpublish", seen), seen
        )

    return build_plan(act, posts, map(judge, target_rows(posts)))


def test_a_new_act_is_one_class_and_one_line_and_acts_once_however_often_its_cell_runs(tmp_path, monkeypatch):
    monkeypatch.setitem(ACTS, "unpublish", Unpublish())
    for code, sentence in (("is_live", "is live"), ("not_live", "not live, but {status}")):
        monkeypatch.setitem(SENTENCES, code, sentence)
    with Sandbox(seed=7) as sandbox, workspace(sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        posts = ws.posts(status=["published", "partial"], since="3D").head(6)
        live = set(posts.loc[posts["status"] == "published", "post_id"])
        for _ in range(2):
            plan = plan_unpublish(posts)
            results = ws.run(plan).wait(60).results()
        assert set(results["outcome"]) == {"succeeded"}
        assert set(plan.frame.loc[plan.frame["eligible"], "post_id"]) == live
        assert len(sandbox.effects("post.unpublish")) == len(live) > 0
