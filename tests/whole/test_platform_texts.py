"""A text for each platform: read from the sheet, checked against its platform's limit, sent with its row, and shown."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.acts.support import forms, keys_of
from tests.sheets.offline import findings

import voxops as vx
from voxops.acts.create import plan_create
from voxops.acts.keys import asked_hash, shown_of_body
from voxops.errors import PlanError

BOTH = "twitter:@aldercoffee; linkedin:@aldercoffee"


def sheet(**cells: object) -> pd.DataFrame:
    """A campaign of one row."""
    row = {
        "row_id": "r1",
        "content": "For all",
        "accounts": BOTH,
        "scheduled_for": "2027-03-01T09:00:00Z",
        "content:twitter": "Short",
        **cells,
    }
    return pd.DataFrame([row], dtype=object)


def said(found: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(found[["column", "platform", "code"]].fillna("").itertuples(index=False, name=None))


@pytest.mark.parametrize(
    "heads", ["Content:Twitter,CONTENT : Google Business", "content: twitter,content:google_business"]
)
def test_a_column_of_a_platform_is_read_in_any_spelling(tmp_path: Path, heads: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(f"row_id,content,accounts,scheduled_for,Text X,{heads}\na,A,twitter:@a,2027-03-01T09:00Z,L,T,G\n")
    found = vx.read_campaign(path, columns={"Text X": "Content: LinkedIn"})
    assert found.loc[0, ["content:linkedin", "content:twitter", "content:google_business"]].to_list() == ["L", "T", "G"]
    assert vx.columns(found).loc["content:twitter", "meaning"] == "Text of the row on twitter, in place of its content."


@pytest.mark.parametrize(("head", "meant"), [
    ("content:twiter", "did you mean 'content:twitter'?"), ("Content:", "one of twitter, "), ("content:x", "one of twitter"),
])  # fmt: skip
def test_a_column_of_no_platform_is_an_error_with_what_was_meant(tmp_path: Path, head: str, meant: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(f"row_id,content,accounts,scheduled_for,{head}\na,A,twitter:@a,2027-03-01T09:00Z,T\n")
    frame = sheet(**{head: "T"})
    for work in (
        lambda: vx.read_campaign(path),
        lambda: plan_create(frame, key="row_id"),
        lambda: findings(frame),
        lambda: vx.read_campaign(path, columns={"content": head}),
    ):
        with pytest.raises(PlanError, match="names no platform") as caught:
            work()
        assert meant in str(caught.value)
    with pytest.warns(UserWarning, match="column 'content_twitter' is ignored; if you mean 'content:twitter'"):
        plan_create(sheet().rename(columns={"content:twitter": "content_twitter"}), key="row_id")


def test_it_is_part_of_what_is_requested_and_an_empty_cell_is_none() -> None:
    plain, own, other = (
        plan_create(sheet(**{"content:twitter": text}), key="row_id") for text in (" ", "Short", "Else")
    )
    assert "platformOverrides" not in plain.items[0].requested
    assert own.items[0].requested["platformOverrides"] == {"TWITTER": {"content": "Short"}}
    for one in (plain, other):
        assert keys_of(one) != keys_of(own)
        assert asked_hash(one.items[0].requested) != asked_hash(own.items[0].requested)
        assert shown_of_body(one.items[0].requested) == shown_of_body(own.items[0].requested), "which lists do not show"
    assert b'"content:twitter"' in (forms(own)[0].body or b"")
    assert b'"content:' not in (forms(plain)[0].body or b"")
    one_by_one = plan_create(sheet(), key="row_id", one_by_one=True)
    assert b'"platformOverrides":{"TWITTER":{"content":"Short"}}' in (forms(one_by_one)[0].body or b"")


def test_rows_that_differ_in_a_platforms_text_alone_look_alike() -> None:
    """Lists do not show these texts, so that nothing would tell the posts apart (rule 17)."""
    two = pd.concat([sheet(), sheet(row_id="r2", **{"content:twitter": "Else"})])
    assert plan_create(two, key="row_id").frame["reason_code"].to_list() == ["ready", "duplicate_post"]
    assert plan_create(two.assign(twin=[None, True]), key="row_id").eligible == 2


@pytest.mark.parametrize(("cells", "codes"), [
    ({"content": "x" * 281}, []),
    ({"content:twitter": "x" * 281}, [("content:twitter", "twitter", "content_too_long")]),
    ({"content:twitter": "\U0001f600" * 141}, [("content:twitter", "twitter", "content_near_limit")]),
    ({"content": "x" * 3001}, [("content", "linkedin", "content_too_long")]),
    ({"content": "x" * 3001, "content:linkedin": "y"}, []),
    ({"content:twitter": None, "content": "x" * 281}, [("content", "twitter", "content_too_long")]),
    ({"content:twitter": "nan"}, [("content:twitter", "", "content_written_missing")]),
    ({"content:twitter": b"bytes"}, [("content:twitter", "", "content_not_text")]),
    ({"content:twitter": "x" * 10_001}, [("content:twitter", "", "content_too_long"), ("content:twitter", "twitter", "content_too_long")]),
    ({"content": None}, [("content", "", "content_required")]),
    ({"content:threads": "T", "content:bluesky": "B"}, [
        ("content:bluesky", "bluesky", "text_without_account"), ("content:threads", "threads", "text_without_account"),
    ]),
    ({"content:threads": "  "}, []),
    ({"content:threads": "T", "accounts": "acc_1"}, []),  # the platform of an id is not known here
])  # fmt: skip
def test_it_is_judged_by_the_rules_of_content_and_the_limit_of_its_platform(cells, codes) -> None:
    found = findings(sheet(**cells))
    assert said(found) == codes
    errors = found.loc[found["level"] == "error", "code"]
    assert plan_create(sheet(**cells), key="row_id").frame["reason_code"][0] == (
        errors.iloc[0] if len(errors) else "ready"
    )


@pytest.mark.parametrize("by_id", [False, True])
def test_the_check_asks_the_api_with_each_platforms_own_text(sandbox, ws, by_id: bool) -> None:
    ids = {f"{one.platform}:@{one.username}": one.id for one in sandbox.world.accounts.values()}
    both = ";".join(ids[name] for name in BOTH.split("; ")) if by_id else BOTH
    found = ws.check(sheet(accounts=both, content="x" * 281), gap=None)
    assert "content_too_long" not in set(found["code"]), "the text for all goes to linkedin only"
    asked = [entry for entry in sandbox.requests() if entry["path"] == "/v1/posts/validate"]
    assert len(asked) == 2
    found = ws.check(sheet(accounts=both, **{"content:twitter": "x" * 281, "content:threads": "T"}), gap=None)
    errors = found[found["level"] == "error"]
    assert said(errors) == [
        ("content:threads", "threads", "text_without_account"),
        ("content:twitter", "twitter", "content_too_long"),
    ]
    nowhere = ws.run(plan_create(sheet(accounts=both, **{"content:threads": "T"}), key="row_id"))
    frame = nowhere.plan.frame if not by_id else nowhere.wait().results()
    assert frame["reason_code"].to_list() == ["text_without_account"]
    assert not sandbox.effects("post.create")


def test_the_same_text_on_an_account_is_the_one_that_goes_out_there(ws) -> None:
    rows = [sheet(row_id=row, scheduled_for=f"2027-03-01T{hour}:00:00Z", content=text, accounts="twitter:@aldercoffee")
            for row, hour, text in (("a", "09", "One"), ("b", "12", "Two"))]  # fmt: skip
    found = ws.check(pd.concat(rows, ignore_index=True))
    assert said(found) == [("content", "", "same_text")]
    apart = pd.concat([rows[0], rows[1].assign(**{"content:twitter": "Else", "content": "One"})], ignore_index=True)
    assert not len(ws.check(apart))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_each_platform_gets_its_text_once_and_plans_and_results_show_it(sandbox, ws, one_by_one: bool) -> None:
    plan = plan_create(sheet(), key="row_id", campaign="spring", one_by_one=one_by_one)
    assert "text on twitter" in repr(plan)
    run = ws.run(plan).wait()
    assert run.results()["outcome"].to_list() == ["succeeded"]
    (post,) = [post for post in sandbox.world.posts.values() if post.id == run.results()["result_id"][0]]
    assert {target.platform: target.content for target in post.targets} == {"twitter": "Short", "linkedin": None}
    assert run.results()["content:twitter"].to_list() == ["Short"]
    assert "text on twitter" in vx.view(run.results())._repr_html_()
    assert ws.run(plan).wait().results()["outcome"].to_list() == ["succeeded"]
    for other in ({"content:twitter": "Else"}, {"content:twitter": None}, {"content:linkedin": "L"}):
        table = (
            ws.run(plan_create(sheet(**other), key="row_id", campaign="spring", one_by_one=one_by_one)).wait().results()
        )
        assert table["reason_code"].to_list() == ["created_otherwise"]
        assert next(iter(other)) in table["waiting_for"][0], "the column, as the sheet calls it"
    assert len(sandbox.effects("post.create")) == 1


def test_another_laptop_with_another_text_for_a_platform_neither_posts_twice_nor_takes_it_for_the_same(
    sandbox, ws, tmp_path: Path
) -> None:
    ws.run(plan_create(sheet(), key="row_id", campaign="spring")).wait()
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "other") as other:
        for text, code in (("Else", "shows_it_now"), (None, "shows_it_now"), ("Short", "")):
            run = other.run(plan_create(sheet(**{"content:twitter": text}), key="row_id", campaign="spring")).wait()
            assert run.results()["reason_code"].fillna("").to_list() == [code]
    assert len(sandbox.effects("post.create")) == 1
