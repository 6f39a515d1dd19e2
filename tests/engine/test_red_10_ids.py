"""A bulk answer that names wrong posts: the marks in the list win over it (rule 15)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig
from tests.engine.steps import live, planned
from tests.engine.verbs import copies, reconcile

from voxburst_sandbox import posts
from voxops.acts.cancel import plan_cancel

NOBODYS = "post_000000000000000000nobody"  # comes first among posts of one moment


def run_and_reconcile(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> tuple[Kernel, str, dict[str, str], pd.DataFrame]:
    """Run four rows, whose answer is wrong in this way, and reconcile after seven minutes.

    Returns the kernel, the run, the post of each text at the server, and the results by text.
    """
    whole = posts._create_each

    def answer(call: Any, items: list[Any], kind: Any, *, dry: bool) -> Any:
        left = items[:-1] if wrong == "never created" else items
        given = whole(call, left, kind, dry=dry)
        results = given.data["results"]
        if wrong == "swapped":
            results[0]["postId"], results[1]["postId"] = results[1]["postId"], results[0]["postId"]
        elif wrong == "invented":
            results[-1]["postId"] = NOBODYS
        else:
            results.append({"index": len(left), "status": "created", "postId": NOBODYS})
        return given

    monkeypatch.setattr(posts, "_create_each", answer)
    kernel = rig.kernel()
    run = kernel.bind(planned(rig.campaign(4)))
    kernel.go(run)
    rig.sandbox.advance(420)
    reconcile(kernel)
    at_server = {effect["content"]: effect["post"] for effect in rig.sandbox.effects("post.create")}
    return kernel, run, at_server, kernel.results(run).set_index("content")


@pytest.mark.parametrize("wrong", ["swapped", "invented"])
def test_rule_15_a_row_is_reported_under_the_post_that_bears_its_mark(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Rule 15: marks win over an answer in which two ids are swapped, or one is of no post; all four rows were created."""
    _, _, at_server, results = run_and_reconcile(rig, monkeypatch, wrong)
    assert set(results["outcome"]) == {"succeeded"}
    assert results["result_id"].to_dict() == at_server


def test_rule_28_the_post_of_a_row_is_no_copy_of_the_one_that_a_wrong_answer_named(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 28: a duplicate is a second *live* post; a cancel of the copies never withdraws the only one of a row."""
    kernel, run, at_server, _ = run_and_reconcile(rig, monkeypatch, "invented")
    kernel.run(plan_cancel(copies(kernel, run)))
    assert live(rig) == dict.fromkeys(at_server, 1)


def test_rule_15_a_row_whose_post_does_not_exist_is_blocked(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 15: no list shows its mark, and the id that the answer named does not exist five minutes on."""
    _, _, at_server, results = run_and_reconcile(rig, monkeypatch, "never created")
    absent = set(results.index) - set(at_server)
    assert len(absent) == 1
    assert {text: results["outcome"][text] for text in results.index} == {
        text: "blocked" if text in absent else "succeeded" for text in results.index
    }
    assert set(results.loc[list(absent), "reason_code"]) == {"not_found"}
