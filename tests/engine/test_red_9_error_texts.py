"""Error texts that a file or a list has changed are the same failure still: it is retried, once, under one key (rules 4, 29 and 30)."""

from __future__ import annotations

from io import BytesIO

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes

from voxops.acts.retry import plan_retry

TEXTS = ("NA", "null", "None", "n/a")  # pandas takes these words of a file for missing


def test_texts_that_a_csv_takes_for_missing_are_retried_under_the_same_keys(rig: Rig) -> None:
    """Rule 29: such a text is text, and a frame that went through CSV plans to the same keys."""
    for post, text in zip(world.plant_posts(rig.sandbox, len(TEXTS)), TEXTS, strict=True):
        for target in rig.sandbox.world.posts[post].targets:
            target.error = {"code": "RATE_LIMITED", "message": text}
    kernel = rig.kernel()
    triaged = kernel.triaged()
    fresh, travelled = plan_retry(triaged), plan_retry(pd.read_csv(BytesIO(triaged.to_csv(index=False).encode())))
    results = kernel.run(travelled)
    assert rig.effects("target.requeue") == len(triaged), results[
        ["outcome", "waiting_for", "error_code", "error_message", "request"]
    ].to_string()
    assert outcomes(results) == {"succeeded": len(triaged)}
    assert travelled.frame["idempotency_key"].to_list() == fresh.frame["idempotency_key"].to_list()


@pytest.mark.parametrize(("posts", "chosen"), [(1, 1), (12, 1), (1, 2)])
def test_messages_that_lists_cut_to_12_characters_are_those_of_single_reads(rig: Rig, posts: int, chosen: int) -> None:
    """Rule 30: a cut text of any length is compared with its whole. Few posts and single targets are read by themselves."""
    world.plant_posts(rig.sandbox, posts)
    rig.sandbox.set_switches(listed_error_characters=12)
    kernel = rig.kernel()
    triaged = kernel.triaged().groupby("post_id").head(chosen)
    assert set(triaged["error_message"].str.len()) == {12}
    results = kernel.run(plan_retry(triaged))  # loaded anew it is blocked anew, since lists always cut
    assert rig.effects("target.requeue") == len(triaged), results[
        ["outcome", "waiting_for", "error_code", "error_message", "request"]
    ].to_string()
    assert outcomes(results) == {"succeeded": len(triaged)}
