"""Verdicts stay true after a retry: what the API skipped is never offered again, and what failed again says so."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import voxops as vx

KEY = ["post_id", "platform", "account_id"]


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """Failures as they were read before and after a retry, its results, and what another ledger reads."""
    with vx.connect(sandbox=True, ledger=tmp_path_factory.mktemp("tried") / "a.sqlite") as ws:
        before = ws.posts(status=["failed", "partial"])
        results = ws.run(vx.plan_retry(vx.triage(before)), reason="once").wait().results()
        after = ws.posts(status=["failed", "partial"])
        with vx.connect(sandbox=ws.sandbox, ledger=tmp_path_factory.mktemp("other") / "b.sqlite") as other:
            elsewhere = other.posts(status=["failed", "partial"])
    return before, results, after, elsewhere


def rows_of(triaged: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    return triaged.merge(results[KEY], on=KEY)


def test_posts_know_what_this_ledger_has_tried_and_others_know_nothing(tried):
    before, results, after, elsewhere = tried
    assert "tried" not in before.columns and "tried" not in elsewhere.columns
    known = rows_of(vx.targets(after), results).merge(results, on=KEY, suffixes=("", "_of_run"))
    assert len(known) > 5
    assert known["last_outcome"].to_list() == known["outcome"].to_list()
    assert known["last_code"].fillna("").to_list() == known["error_code_of_run"].fillna("").to_list()
    assert known["last_tried_at"].to_list() == known["settled_at"].to_list()
    assert set(known["tried"]) == {1}


def test_what_the_api_skipped_is_for_support_in_triage_plan_and_report(tried):
    _, results, after, _ = tried
    triaged = vx.triage(after)
    skipped = rows_of(triaged, results[results["error_code"] == "SKIPPED"])
    assert len(skipped) > 0
    assert set(skipped["verdict"]) == {"ask support"} and not skipped["retryable"].any()
    planned = vx.plan_retry(triaged).frame.merge(skipped[KEY], on=KEY)
    assert not planned["eligible"].any()
    tasks = vx.report(triaged).actions.set_index("what")["rows"]
    assert tasks["ask support"] == (triaged["cause"].notna() & triaged["verdict"].eq("ask support")).sum()


def test_what_failed_again_stays_a_retry_that_says_so(tried):
    _, _, after, _ = tried
    triaged = vx.triage(after)
    again = triaged[triaged["verdict"].eq("retry") & triaged["last_outcome"].eq("failed").fillna(False)]
    assert len(again) > 0
    assert again["remedy"].str.contains(r"Retried once, last on \d{4}-\d\d-\d\d .* UTC, and failed\.").all()


def test_a_retry_of_one_platform_is_called_a_retry_wherever_it_is_shown(tmp_path):
    with vx.connect(sandbox=True, ledger=tmp_path / "a.sqlite") as ws:
        triaged = vx.triage(ws.posts(status=["failed", "partial"]))
        again = triaged[triaged["retryable"]]
        first, *others = again.index[again.duplicated("post_id", keep=False)]
        plan = vx.plan_retry(triaged.assign(retryable=triaged.index == first).drop(others))
        run = ws.run(plan).wait()
        assert plan.frame["request"].dropna().str.endswith("/fix").all(), "the API has no retry of a single platform"
        shown = [plan, run, vx.view(run), ws.runs(), ws.ledger().drop(columns="path"), vx.view(ws.ledger())]
        texts = [getattr(thing, render)() for thing in shown for render in ("__repr__", "_repr_html_")]
        actions = [*ws.ledger()["action"], *run.results()["act"]]
        texts.append(run.results()[["act", "reason"]].to_csv())
    assert not re.search(r"\bfix\b", " ".join(texts).replace("fix content", "").replace("fix media", ""))
    assert actions == ["retry", "retry"]
    assert run.results()["reason"].item() == f"retry: {again.loc[first, 'remedy']}"
