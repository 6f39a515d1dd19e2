"""The check is true: what it calls right is created, and what it calls wrong would not be."""

from __future__ import annotations

from random import Random

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.api.reasons import Reason

ROWS = 1000
WHEN = pd.Timestamp("2026-04-01T08:00Z")
BROKEN = ("expired", "disconnected", "error", "suspended", "revoked")


@pytest.fixture
def world(sandbox):
    """Two accounts on each platform, of which the second is of another status each, and media of every status."""
    for account, status in zip(
        (each for each in sandbox.world.accounts.values() if "berlin" in each.username), BROKEN, strict=False
    ):
        account.status = status
    return sandbox.world


def cells(world):
    """Cells of good rows, and of rows with a fault by its code; those that the API finds, and those that only we do."""
    good = [each for each in world.accounts.values() if each.status == "active"]
    bad = {each.status: each for each in world.accounts.values() if each.status in BROKEN}
    assert set(bad) == set(BROKEN)
    files = {each.status: each.id for each in world.media.values()}
    name = {each.id: f"{each.platform}:@{each.username}" for each in world.accounts.values()}
    by = {each.platform: name[each.id] for each in good}
    right = [
        *({"accounts": ref, "media": files["ready"]} for each in good for ref in (name[each.id], each.id)),
        {"accounts": f"{by['twitter']};{by['facebook']}", "content": "x" * 280}, {"first_comment": "y" * 2200}, {"content": "x" * 10_000},
        {"accounts": by["instagram"], "media": files["ready"], "content": "x" * 2200}, {"tags": "a;b"}, {"content_type": "reel"},
    ]  # fmt: skip
    theirs = {
        "account_not_active": [{"accounts": ref, "media": files["ready"]} for each in bad.values() for ref in (name[each.id], f"{by['facebook']};{each.id}")],
        "account_unknown": [{"accounts": "acc_none"}, {"accounts": "twitter:@nobody"}],
        "content_too_long": [{"accounts": by[one], "content": "x" * most} for one, most in (("twitter", 281), ("bluesky", 301), ("threads", 501), ("linkedin", 3001), ("facebook", 10_001))],
        "content_required": [{"content": None}, {"content": " \n"}], "comment_too_long": [{"first_comment": "y" * 2201}],
        "media_required": [{"accounts": by["instagram"]}, {"accounts": next(each.id for each in good if each.platform == "instagram")}],
        "media_not_ready": [{"media": files[status]} for status in ("pending", "failed")], "media_unknown": [{"media": "media_none"}],
        "media_address": [{"media": "https://x.example/a.jpg"}], "media_file_name": [{"media": "a.jpg"}], "content_type_form": [{"content_type": "photo"}],
    }  # fmt: skip
    ours = {"time_past": [{"scheduled_for": "2026-01-01T00:00Z"}], "time_missing": [{"scheduled_for": None}]}
    return by["facebook"], right, theirs, ours


def test_of_a_thousand_rows_none_is_called_right_that_fails_and_none_wrong_that_would_be_created(world, sandbox, ws):
    rng, (usual, right, theirs, ours) = Random(42), cells(world)
    wrongs = [(code, one) for code, each in {**theirs, **ours}.items() for one in each]
    rows, faults = [], {}
    for number in range(ROWS):
        row_id, (code, drawn) = f"r{number}", rng.choice(wrongs) if rng.random() < 0.5 else ("", rng.choice(right))
        base = {"row_id": row_id, "content": "", "accounts": usual, "scheduled_for": str(WHEN + pd.Timedelta(number, "D")), "media": None, "first_comment": None, "tags": None, "content_type": None}  # fmt: skip
        rows.append(base | {"content": f"Number {number}"} | drawn)
        faults |= {row_id: code} if code else {}
    sheet = pd.DataFrame(rows, dtype="string")
    assert set(faults.values()) == {*theirs, *ours}

    before = len(sandbox.effects())
    found = ws.check(sheet)
    assert len(sandbox.effects()) == before, "nothing was changed"
    errors = found[found["level"] == "error"]
    assert set(errors["row_id"]) == set(faults)
    assert faults.items() <= set(errors[["row_id", "code"]].itertuples(index=False, name=None))

    would = {}
    names = {f"{each.platform}:@{each.username}": each.id for each in world.accounts.values()}
    judged = [row for row in rows if faults.get(row["row_id"]) not in ours]
    for start in range(0, len(judged), 50):
        batch = judged[start : start + 50]
        posts = [
            {
                "content": row["content"] or "", "accountIds": [names.get(one, one) for one in row["accounts"].split(";")],
                "media": [row["media"]] if row["media"] else None, "firstComment": row["first_comment"], "contentType": row["content_type"],
            }
            for row in batch
        ]  # fmt: skip
        answer = eventloop.run(ws.client.raw("POST", "/v1/posts/bulk", json={"posts": posts, "dryRun": True}))
        would |= {batch[one["index"]]["row_id"]: one["status"] == "valid" for one in answer.data["results"]}
    assert {row for row, valid in would.items() if valid} == {row["row_id"] for row in rows} - set(faults), (
        "of the API itself"
    )

    results = ws.run(vx.plan_create(sheet, key="row_id")).wait().results().set_index("row_id")
    made = set(results.index[results["outcome"] == "succeeded"])
    assert made == {row["row_id"] for row in rows} - set(faults)
    assert len(sandbox.effects("post.create")) == len(made)
    blocked = results[results["outcome"] == "blocked"]
    assert set(blocked["reason_code"]) == {"account_not_active", "no_account", "time_passed"}
    assert {row for row, code in faults.items() if code == "account_not_active"} <= set(blocked.index)
    assert set(results.loc[results["outcome"] == "failed", "error_code"]) <= {
        "CONTENT_TOO_LONG",
        "MEDIA_REQUIRED",
        "VALIDATION_ERROR",
    }


SHEET = {
    "row_id": ["a"],
    "content": ["Hello"],
    "accounts": ["instagram:@alder.berlin"],
    "scheduled_for": ["2026-04-01T08:00Z"],
}


@pytest.mark.parametrize("ref", ["name", "id"])
def test_a_row_on_an_account_that_can_not_publish_is_blocked_until_that_is_connected_again_or_it_is_forced(
    sandbox, ws, ref
):
    account = next(each for each in sandbox.world.accounts.values() if each.status == "expired")
    ready = next(each.id for each in sandbox.world.media.values() if each.status == "ready")
    name = f"{account.platform}:@{account.username}"
    sheet = pd.DataFrame(SHEET).assign(media=ready, accounts=name if ref == "name" else account.id)
    run = ws.run(vx.plan_create(sheet, key="row_id")).wait()
    (blocked,) = run.blocked().to_dict("records")
    assert blocked["waiting_for"] == str(Reason("account_not_active", account=name, status="expired"))
    assert not sandbox.effects("post.create")
    forced = ws.run(vx.plan_create(sheet.assign(row_id="b", force=True), key="row_id")).wait().results()
    assert forced["error_code"].to_list() == ["ACCOUNT_NOT_ACTIVE"], "the API has judged"
    account.status = "active"
    sandbox.world.listed.clear()
    again = ws.run(vx.plan_create(sheet, key="row_id")).wait().results()
    assert again["outcome"].to_list() == ["succeeded"]


def test_a_resumed_run_reads_the_accounts_again(sandbox, ws):
    account = next(each for each in sandbox.world.accounts.values() if each.platform == "facebook")
    sandbox.add_fault(Fault("status", method="POST", path="/v1/posts/bulk", status=401, code="UNAUTHORIZED"))
    run = ws.run(vx.plan_create(pd.DataFrame(SHEET).assign(accounts=account.id), key="row_id")).wait()
    assert run.results()["outcome"].to_list() == ["pending"]
    account.status = "expired"
    sandbox.world.listed.clear()
    assert run.resume().wait().results()["reason_code"].to_list() == ["account_not_active"]


def test_a_key_that_may_not_read_accounts_still_sends_to_their_ids(sandbox, ws):
    account = next(each for each in sandbox.world.accounts.values() if each.platform == "facebook")
    sandbox.add_fault(
        Fault("status", method="GET", path="/v1/accounts", status=403, code="AUTHORIZATION_ERROR", times=None)
    )
    run = ws.run(vx.plan_create(pd.DataFrame(SHEET).assign(accounts=account.id), key="row_id"))
    assert run.wait().results()["outcome"].to_list() == ["succeeded"]
    with pytest.raises(vx.errors.AuthError):
        ws.run(vx.plan_create(pd.DataFrame(SHEET).assign(row_id="b", media="media_1"), key="row_id")).wait()


def test_the_check_says_what_it_could_not_read_and_what_an_account_lacks(sandbox, ws):
    sheet = pd.DataFrame(SHEET).assign(media="media_none", accounts="linkedin:@alder.berlin")
    sandbox.add_fault(
        Fault("status", method="GET", path="/v1/media/media_none", status=403, code="AUTHORIZATION_ERROR")
    )
    sheet = pd.concat([sheet, sheet.assign(row_id="b", content="x", media=None)], ignore_index=True)
    assert ws.check(sheet)[["level", "code"]].to_numpy().tolist() == [
        ["warning", "account_degraded"],
        ["warning", "media_unread"],
    ]
    account = next(
        each
        for each in sandbox.world.accounts.values()
        if f"{each.platform}:@{each.username}" == "linkedin:@alder.berlin"
    )
    account.status = "expired"
    ws.accounts(account=account.id, check=True, refresh=False)
    account.status = "active"
    sandbox.world.listed.clear()
    assert set(ws.check(sheet)["code"]) == {"account_check_failed", "media_unknown"}
