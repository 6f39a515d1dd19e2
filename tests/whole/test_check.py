"""The check is true: what it calls right is created, and what it calls wrong would not be."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from random import Random

import pandas as pd
import pytest
from tests.sandbox.support import again

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.api.reasons import Reason

WHEN = pd.Timestamp("2026-04-01T08:00Z")
BROKEN = ("expired", "disconnected", "error", "suspended", "revoked")


@pytest.fixture
def world(sandbox):
    """Two accounts on each platform, of which the second is of another status each, one more platform, and media of every status."""
    for account, status in zip(
        (each for each in sandbox.world.accounts.values() if "berlin" in each.username), BROKEN, strict=False
    ):
        account.status = status
    usual = next(each for each in sandbox.world.accounts.values() if each.status == "active")
    sandbox.world.accounts.save(replace(usual, id="acc_mastodon", platform="mastodon"))
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
        *({"accounts": ref, "media": files["ready"]} for each in good for ref in (name[each.id], each.id, f"{each.platform}:{each.id}")),
        {"accounts": f"{by['twitter']};{by['facebook']}", "content": "x" * 280}, {"first_comment": "y" * 2200}, {"content": "x" * 10_000},
        {"accounts": by["instagram"], "media": files["ready"], "content": "x" * 2200}, {"tags": "a;b"}, {"content_type": "reel"},
    ]  # fmt: skip
    theirs = {
        "account_not_active": [{"accounts": ref, "media": files["ready"]} for each in bad.values() for ref in (name[each.id], f"{by['facebook']};{each.id}")],
        "account_unknown": [{"accounts": one} for one in ("acc_none", "twitter:@nobody", f"{by['facebook']};acc_none")],
        "content_too_long": [{"accounts": by[one], "content": "x" * most} for one, most in (("twitter", 281), ("bluesky", 301), ("threads", 501), ("linkedin", 3001), ("mastodon", 501), ("facebook", 10_001))],
        "content_required": [{"content": None}, {"content": " \n"}], "comment_too_long": [{"first_comment": "y" * 2201}],
        "media_required": [{"accounts": by["instagram"]}, {"accounts": next(each.id for each in good if each.platform == "instagram")}],
        "media_not_ready": [{"media": files[status]} for status in ("pending", "failed")], "media_unknown": [{"media": "media_none"}],
        "media_address": [{"media": "http://x.example/a.jpg"}], "media_folder": [{"media": "a.jpg"}], "content_type_form": [{"content_type": "photo"}],
    }  # fmt: skip
    ours = {
        "time_passed": [{"scheduled_for": "2026-01-01T00:00Z"}],
        "time_missing": [{"scheduled_for": None}],
        "person_form": [{"owner": "z" * 1001}],
    }
    return by["facebook"], right, theirs, ours


# What the sandbox refuses of a row at creation. The rest of its refusals can't be known before: a limit or quota (429, 402), a key or
# its scope (401, 403), an outage or fault (5xx); or voxops never sends what they are about: INVALID_DATE (times go out in UTC),
# METADATA_LIMIT (its marks are short, and what people's columns hold is bounded), a queue, threads. It takes a time that has passed, and would publish at once; voxops blocks it.
REFUSALS = {"ACCOUNT_NOT_ACTIVE", "ACCOUNT_NOT_FOUND", "CONTENT_TOO_LONG", "CONTENT_TYPE_NOT_SUPPORTED", "MEDIA_REQUIRED", "VALIDATION_ERROR"}  # fmt: skip
OTHER = {"bulk_refuses_whole": True, "validation_status": 422, "validate_both_cases": True, "uppercase_status": True}


@pytest.mark.parametrize(("count", "one_by_one", "switches"), [(1000, False, {}), (300, True, {}), (200, False, OTHER)])
def test_of_a_thousand_rows_none_is_called_right_that_fails_and_none_wrong_that_would_be_created(
    world, sandbox, ws, count, one_by_one, switches
):
    sandbox.set_switches(**switches)
    rng, (usual, right, theirs, ours) = Random(42), cells(world)
    wrongs = cycle([(code, one) for code, each in {**theirs, **ours}.items() for one in each])
    rows, faults = [], {}
    for number in range(count):
        row_id, (code, drawn) = f"r{number}", next(wrongs) if rng.random() < 0.5 else ("", rng.choice(right))
        base = {"row_id": row_id, "content": "", "accounts": usual, "scheduled_for": str(WHEN + pd.Timedelta(number, "D")), "media": None, "first_comment": None, "tags": None, "content_type": None, "owner": None}  # fmt: skip
        second = rng.choice(theirs[rng.choice([*theirs])])
        if code and number % 3 == 0 and not second.keys() & drawn.keys():  # one fault may hide the other
            code, drawn = "several", drawn | second
        rows.append(base | {"content": f"Number {number}"} | drawn)
        faults |= {row_id: code} if code else {}
    sheet = pd.DataFrame(rows, dtype="string")
    assert set(faults.values()) == {*theirs, *ours, "several"}

    before = len(sandbox.effects())
    found = ws.check(sheet)
    assert len(sandbox.effects()) == before, "nothing was changed"
    errors = found[found["level"] == "error"].explode("rows")
    errors["row_id"] = sheet["row_id"].iloc[errors["rows"]].to_numpy()
    assert set(errors["row_id"]) == set(faults)
    single = {(row, code) for row, code in faults.items() if code != "several"}
    assert single <= set(errors[["row_id", "code"]].itertuples(index=False, name=None))

    would, refusals = {}, set()
    names = {
        f"{each.platform}:{ref}": each.id for each in world.accounts.values() for ref in (f"@{each.username}", each.id)
    }
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
        sandbox.set_switches(bulk_refuses_whole=False)
        answer = eventloop.run(ws.client.request("POST", "/v1/posts/bulk", json={"posts": posts, "dryRun": True}))
        sandbox.set_switches(**switches)
        would |= {batch[one["index"]]["row_id"]: one["status"].lower() == "valid" for one in answer.json["results"]}
        refusals |= {error["issue"] for one in answer.json["results"] for error in one.get("errors", ())}
    assert refusals == REFUSALS
    assert {row for row, valid in would.items() if valid} == {row["row_id"] for row in rows} - set(faults), (
        "of the API itself"
    )

    results = ws.run(vx.plan_create(sheet, key="row_id", one_by_one=one_by_one)).wait().results().set_index("row_id")
    made = set(results.index[results["outcome"] == "succeeded"])
    assert made == {row["row_id"] for row in rows} - set(faults)
    assert len(sandbox.effects("post.create")) == len(made)
    blocked = results[results["outcome"] == "blocked"]
    assert set(blocked["reason_code"]) == {
        "account_not_active", "account_unknown", "time_passed", "media_unknown", "media_not_ready", "media_required",
    }  # fmt: skip
    of_plan = ws.run(vx.plan_create(sheet, key="row_id", one_by_one=one_by_one)).plan.frame.set_index("row_id")[
        "reason_code"
    ]
    said = {**of_plan, **blocked["reason_code"]}
    differ = {
        (code, said[row]) for row, code in faults.items() if code != "several" and said[row] not in {code, "ready"}
    }
    assert differ == {("media_folder", "media_not_uploaded")}, "a plan reads no file"
    sent = {code for row, code in faults.items() if said[row] == "ready"}
    assert sent <= {"content_too_long", "comment_too_long", "several"}, "only the API knows these limits"
    assert set(results.loc[results["outcome"] == "failed", "error_code"]) <= REFUSALS - {
        "ACCOUNT_NOT_ACTIVE",
        "ACCOUNT_NOT_FOUND",
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
    (blocked,) = run.results("blocked").to_dict("records")
    assert blocked["waiting_for"] == str(Reason("account_not_active", account=name, status="expired"))
    assert not sandbox.effects("post.create")
    forced = ws.run(vx.plan_create(sheet.assign(row_id="b", force=True), key="row_id")).wait().results()
    assert forced["error_code"].to_list() == ["ACCOUNT_NOT_ACTIVE"], "the API has judged"
    account.status = "active"
    sandbox.world.listed.clear()
    again = ws.run(vx.plan_create(sheet, key="row_id")).wait().results()
    assert again["outcome"].to_list() == ["succeeded"]


def test_an_unknown_account_is_held_where_the_list_of_accounts_is_whole_and_no_column_forces_it(sandbox, ws):
    sheet = pd.DataFrame(SHEET).assign(accounts="acc_none", media=None)
    blocked = ws.run(vx.plan_create(sheet, key="row_id")).wait().results("blocked")
    assert blocked[["reason_code", "waiting_for"]].to_numpy().tolist() == [
        ["account_unknown", str(Reason("account_unknown", said="no account acc_none in this workspace"))]
    ]
    assert not any(each["path"] == "/v1/posts/bulk" for each in sandbox.requests())
    forced = ws.run(vx.plan_create(sheet.assign(row_id="b", force=True), key="row_id")).wait().results()
    assert forced["error_code"].to_list() == ["ACCOUNT_NOT_FOUND"]
    sandbox.set_switches(accounts_envelope="accounts")  # says nothing of further pages
    both = pd.concat([sheet, sheet.assign(row_id="c", content="x")], ignore_index=True)
    assert ws.check(both, gap=None)[["row_id", "level", "code"]].to_numpy().tolist() == [
        ["a", "warning", "accounts_unread"]
    ]
    sent = ws.run(vx.plan_create(sheet, key="row_id")).wait().results()
    assert sent["error_code"].to_list() == ["ACCOUNT_NOT_FOUND"], "nobody knows, so the API judges"


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
    sheet = pd.concat(
        [sheet, sheet.assign(row_id="b", content="x", media=None, scheduled_for="2026-04-02T08:00Z")], ignore_index=True
    )
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


A, B = "twitter:@aldercoffee", "facebook:@aldercoffee"


def sheet_of(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """A sheet of rows by key, time on 1 April in Berlin, accounts and text."""
    frame = pd.DataFrame(rows, columns=["row_id", "scheduled_for", "accounts", "content"])
    return frame.assign(scheduled_for="2026-04-" + frame["scheduled_for"] + "+02:00")


def warned(ws, sheet, **limits):
    found = ws.check(sheet, **limits)
    assert set(found["level"]) <= {"warning"}
    return [(row, code) for row, code in found[["row_id", "code"]].itertuples(index=False)], found["message"].to_list()


@pytest.mark.parametrize(("rows", "limits", "expected"), [
    ([("a", "01T10:00", A, "x"), ("b", "01T10:09", A, "y"), ("c", "01T10:19", A, "z"), ("d", "01T10:09", B, "y2")], {}, [("b", "too_close")]),
    ([("a", "01T10:09", A, "x"), ("b", "01T10:00", f"{A};{B}", "y"), ("c", "01T10:00", B, "z")], {}, [("a", "too_close"), ("c", "too_close")]),
    ([("a", "01T10:00", A, "x"), ("b", "01T10:09", A, "y")], {"gap": None}, []),
    ([("a", "01T10:00", A, "x"), ("b", "01T10:29", A, "y")], {"gap": "30min"}, [("b", "too_close")]),
    ([("a", "01T10:00", A, "x y"), ("b", "02T09:59", A, "x  y"), ("c", "03T09:59", A, "x y"), ("d", "01T11:00", B, "x y")], {}, [("b", "same_text")]),
    ([(n, f"01T1{n}:00", A, n) for n in "0123"] + [("n", "02T00:30", A, "n")], {"most_a_day": 3}, [("3", "too_many_a_day")]),
    ([("a", "03T00:00", f"{A};{B}", "x"), ("b", "04T23:59", A, "y"), ("c", "05T00:00", A, "z")], {"blackout": "2026-04-03/2026-04-04", "gap": None}, [("a", "in_blackout"), ("b", "in_blackout")]),
    ([("a", "03T12:00", A, "x"), ("b", "03T18:00", A, "y"), ("c", "06T11:59", A, "z")], {"blackout": ["2026-04-02", "2026-04-03T18:00/2026-04-06T12:00"]}, [("b", "in_blackout"), ("c", "in_blackout")]),
    ([("a", "01T21:59", A, "x"), ("b", "01T22:00", A, "y"), ("c", "02T05:59", A, "z"), ("d", "02T06:00", B, "w")], {"gap": None, "night": "22:00-06:00"}, [("b", "at_night"), ("c", "at_night")]),
    ([("a", "01T00:30", A, "x"), ("b", "01T22:00", A, "y")], {"night": "00:00-6:00"}, [("a", "at_night")]),
])  # fmt: skip
def test_posts_that_collide_are_warnings(sandbox, rows, limits, expected):
    again(sandbox, empty=True)
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        assert warned(ws, sheet_of(*rows), **limits)[0] == expected
        offline = ws.check(sheet_of(*rows), ask=False, **limits)
        assert [*offline[["row_id", "code"]].itertuples(index=False, name=None)] == expected


def test_a_collision_names_both_posts_also_one_that_is_scheduled_already_but_for_the_row_itself(sandbox):
    again(sandbox, empty=True)
    sheet = sheet_of(("a", "01T10:00", A, "x"), ("b", "01T10:05", f"{B};{A}", "y"))
    both = sheet_of(("a", "01T10:00", f"{A};{B}", "x"), ("b", "01T10:05", f"{B};{A}", "y"))
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        assert warned(ws, both)[1] == [
            Reason("too_close", time="5", other="row a", account=f"{A}, {B}", least="10").sentence()
        ]
        _, (said,) = warned(ws, sheet)
        assert said == Reason("too_close", time="5", other="row a", account=A, least="10").sentence()
        posts = ws.run(vx.plan_create(sheet, key="row_id")).wait().results().set_index("row_id")["result_id"]
        assert warned(ws, sheet)[1] == [said], "its own post is the row"
        other = sheet_of(("c", "01T10:02", B, "z"), ("d", "02T09:00", B, "y"), ("e", "01T23:00", A, "e"))
        found, messages = warned(ws, other, most_a_day=2)
        assert found == [("c", "too_close"), ("d", "same_text"), ("e", "too_many_a_day")]
        assert (
            messages[0]
            == Reason("too_close", time="3", other=f"the post {posts['b']}", account=B, least="10").sentence()
        )
        assert (
            messages[2]
            == Reason(
                "too_many_a_day", account=A, count=3, time="2026-04-01", other=f"the post {posts['b']}", most=2
            ).sentence()
        )
        by_id = {f"{each.platform}:@{each.username}": each.id for each in sandbox.world.accounts.values()}
        assert warned(ws, other.assign(accounts=other["accounts"].map(by_id)), most_a_day=2)[0] == found


@pytest.mark.parametrize(("limits", "said"), [
    ({"gap": "soon"}, "gap="), ({"most_a_day": 0}, "most_a_day="), ({"blackout": "Christmas"}, "blackout="),
    ({"blackout": ["2026-12-24/"]}, None), ({"night": "late"}, "night="), ({"night": "22-06"}, "night="),
])  # fmt: skip
def test_a_limit_that_can_not_be_read_is_refused(ws, limits, said):
    sheet = sheet_of(("a", "01T10:00", A, "x"))
    if said is None:
        assert ws.check(sheet, ask=False, **limits).empty
    else:
        with pytest.raises(vx.errors.ConfigError, match=said):
            ws.check(sheet, **limits)
