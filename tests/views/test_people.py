"""Names of people: owner, campaign and tags from metadata, in frames, causes, panel, report and tickets."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd
import pytest
from tests.views.page import Page

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.frames.records import build
from voxops.loading.people import with_people

FIELDS = {"owner": "metadata.owner", "campaign": "metadata.campaign"}


@pytest.fixture(scope="module")
def ws() -> Iterator[vx.Workspace]:
    with (
        Sandbox(seed=7, speed=0, rate_limit=None) as server,
        vx.connect(sandbox=server, **{f"{name}_field": field for name, field in FIELDS.items()}) as workspace,
    ):
        yield workspace


@pytest.fixture(scope="module")
def triaged(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="7D")))


def test_posts_and_targets_say_whose_they_are(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    posts = ws.posts(limit=30)
    assert list(posts["owner"]) == [data["owner"] for data in posts["metadata"]]
    assert list(posts["campaign"]) == [data["campaign"] for data in posts["metadata"]]
    assert str(posts["owner"].dtype) == "string"
    targets = vx.targets(posts)
    owners = dict(zip(posts["post_id"], posts["owner"], strict=True))
    assert list(targets["owner"]) == [owners[post] for post in targets["post_id"]]
    assert list(targets["tags"].iloc[0]) == list(posts["tags"].iloc[0])
    assert triaged.attrs["people"] == FIELDS
    assert vx.view(triaged).columns[3:5] == ("owner", "campaign")


def test_a_typo_in_a_setting_is_said(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox, owner_field="metadata.ownr") as workspace:
        with pytest.warns(
            UserWarning, match="owner_field='ownr': no post has this field in its metadata; did you mean 'owner'"
        ):
            posts = workspace.posts(limit=3)
        assert posts["owner"].isna().all()


def test_a_field_that_no_post_has_yet_or_that_is_empty_is_no_typo(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox, owner_field="team.lead") as workspace:
        assert workspace.posts(limit=3)["owner"].isna().all()  # and nothing is warned of: warnings are errors here
    posts = build("posts", [{"id": "post_1", "metadata": {"owner": None, "Owner": "maria.k"}}])
    assert with_people(posts, {"owner": "metadata.owner"})["owner"].isna().all()


def test_without_a_setting_frames_are_as_they_were(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox) as plain:
        posts = plain.posts(limit=3)
        assert not {"owner", "campaign"} & set(posts.columns)
        assert not {"owner", "campaign", "tags"} & set(vx.targets(posts).columns)
        assert "people" not in posts.attrs


def test_the_setting_changes_no_key(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    bare = triaged.drop(columns=["owner", "campaign", "tags"])
    bare.attrs = {name: value for name, value in triaged.attrs.items() if name != "people"}
    assert vx.plan_retry(bare).frame["idempotency_key"].equals(vx.plan_retry(triaged).frame["idempotency_key"])


def test_settings_come_from_the_environment_too(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXOPS_OWNER_FIELD", "metadata.owner")
    monkeypatch.setenv("VOXOPS_TZ", "Europe/Berlin")
    monkeypatch.setenv("VOXOPS_CAMPAIGN_FIELD", "")
    monkeypatch.setenv("VOXOPS_CAMPAIGN", "spring-2026")  # as the notebooks call theirs
    with vx.connect(sandbox=sandbox, tz="Asia/Tokyo") as workspace:
        assert workspace.settings.arguments() == {"tz": "Asia/Tokyo", "owner_field": "owner"}
        assert workspace.posts(limit=1).attrs["tz"] == "Asia/Tokyo"


@pytest.mark.parametrize(
    "setting",
    [{"owner_field": "a..b"}, {"tags_field": "metadata."}, {"campaign_field": "metadata.a b"}, {"tz": "Mars"}],
)
def test_a_setting_that_is_none_is_refused(setting: dict[str, str], sandbox: Sandbox) -> None:
    with pytest.raises(vx.errors.ConfigError, match=re.escape(repr(next(iter(setting.values()))))):
        vx.connect(sandbox=sandbox, **setting)


def test_metadata_of_any_shape_are_read() -> None:
    cells = [
        {"team": {"owner": " ann "}},
        {"team": "x"},
        None,
        {"team": {"owner": ["a", "b"]}},
        '{"team": {"owner": "file"}}',
        {"team": {"owner": 7}},
    ]
    posts = pd.DataFrame({"metadata": cells, "tags": [()] * len(cells)})
    found = with_people(posts, {"owner": "metadata.team.owner", "tags": "metadata.team.owner"})
    assert found["owner"].to_list() == ["ann", pd.NA, pd.NA, "a, b", "file", "7"]
    assert [tuple(tags) for tags in found["tags"]] == [("ann",), (), (), ("a", "b"), ("file",), ("7",)]
    assert "owner" not in posts.columns


def test_causes_and_report_say_who_must_act(triaged: pd.DataFrame) -> None:
    causes = vx.causes(triaged)
    expired = causes[causes["verdict"] == "reconnect account"].iloc[0]
    counted = triaged[triaged["cause"] == expired["cause"]]["owner"].value_counts()
    assert f"{counted.index[0]} ({counted.iloc[0]})" in expired["owners"]
    for count, rest in ((6, " and 1 more"), (5, "")):
        few = triaged[triaged["cause"].notna()].head(1)
        few = pd.concat([few] * count, ignore_index=True).assign(owner=[*"abbcde"][:count])
        few["post_id"] = [f"post_{n}" for n in range(count)]
        assert vx.causes(few)["owners"].to_list() == ["b (2), a (1), c (1), d (1)" + rest]
    actions = vx.report(triaged).sections[0].table.set_index("what")["who"]
    content = triaged[triaged["verdict"] == "fix content"]["owner"].value_counts()
    for name, count in content.items():
        assert f"{name} ({count})" in actions["fix content"]
    assert actions["retry"] == "operations: run the retry plan"
    assert actions["reconnect account"].startswith("whoever owns the account; the posts are of ")
    said = vx.report(triaged, owners={"fix content": "the agency"}).sections[0].table.set_index("what")["who"]
    assert said["fix content"] == "the agency"


def posts_in(text: str) -> list[str]:
    """The posts that a ticket lists."""
    return re.findall(r"^    (post_\w+) ·", text, re.MULTILINE)


def test_each_person_has_a_ticket_and_support_another(triaged: pd.DataFrame) -> None:
    failures = triaged[triaged["cause"].notna()]
    tickets = vx.report(triaged).tickets(by="owner")
    support = failures["verdict"] == "ask support"
    assert list(tickets) == [*sorted(failures.loc[~support, "owner"].unique()), "support"]
    for name, text in tickets.items():
        rows = failures[support if name == "support" else ~support & (failures["owner"] == name)]
        assert sorted(posts_in(text)) == sorted(rows["post_id"])
        assert "\u2060" not in text and "\\" not in text, "what was written stays as it is"
        assert all(len(line) <= 100 or len(line.split()) == 1 for line in text.splitlines()), "long lines are broken"
    many = pd.concat([failures[~support].head(1)] * 53, ignore_index=True)
    many["post_id"] = [f"post_{n}" for n in range(53)]
    (text,) = vx.report(many).tickets(by="owner").values()
    assert (len(posts_in(text)), "and 3 more" in text) == (50, True)
    assert set(vx.report(triaged).tickets(by="platform")) == {*failures.loc[~support, "platform"], "support"}


def test_tickets_show_themselves_as_texts_to_be_copied(triaged: pd.DataFrame) -> None:
    """In a cell, as the last line of it: not as one long line of escapes."""
    tickets = vx.report(triaged).tickets(by="owner")
    markup = tickets._repr_html_()
    assert markup.count("<pre") == len(tickets)
    assert all(f">{name}</div>" in markup for name in tickets)
    assert r"\n" not in markup
    lines = repr(tickets).splitlines()[1:]
    assert [line.split()[0] for line in lines] == [name.split()[0] for name in tickets]
    assert all(line.endswith(("to be fixed.", "for support.", "for your information.")) for line in lines), lines
    bare = triaged.copy()
    bare.attrs = {}
    assert len(repr(vx.report(bare).tickets(by="owner")).splitlines()) == len(tickets) + 1
    assert repr(vx.report(triaged.head(0)).tickets()) == "no tickets"


def test_a_post_with_several_tags_stands_in_the_ticket_of_each(triaged: pd.DataFrame) -> None:
    rows = triaged[triaged["cause"].notna() & (triaged["verdict"] != "ask support")].head(4).reset_index(drop=True)
    tags = [["spring", "coffee", "spring"], ["coffee"], [], None]
    tickets = vx.report(rows.assign(tags=pd.Series(tags, dtype=object))).tickets(by="tags")
    found = {name: posts_in(text) for name, text in tickets.items()}
    ids = rows["post_id"].tolist()
    assert list(found) == ["coffee", "nobody", "spring"]
    assert sorted(found["coffee"]) == sorted(ids[:2])
    assert found["spring"] == ids[:1]
    assert sorted(found["nobody"]) == sorted(ids[2:])


def test_what_belongs_to_nobody_is_not_lost_and_a_missing_column_is_named(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    orphans = triaged.assign(owner=triaged["owner"].where(triaged["owner"] != "maria.k").replace("tom.b", "support"))
    tickets = vx.report(orphans).tickets()
    assert {"nobody", "support", "support (owner)"} <= set(tickets)
    failed = orphans["cause"].notna()
    assert sum(len(posts_in(text)) for text in tickets.values()) == failed.sum()
    with pytest.raises(vx.errors.PlanError, match="owner_field='owner'"):
        vx.report(triaged.drop(columns="owner")).tickets()
    with pytest.raises(vx.errors.PlanError, match=r"by='Owner'.*did you mean 'owner'\?"):
        vx.report(triaged).tickets(by="Owner")
    with pytest.raises(vx.errors.PlanError, match=r"by='Besitzer'.*one of .*campaign.*owner"):
        vx.report(triaged).tickets(by="Besitzer")
    with pytest.raises(vx.errors.PlanError, match="this one is 'Webhook deliveries'"):
        vx.report(ws.deliveries(since="1D")).tickets()


def test_the_panel_filters_by_owner_and_its_code_connects_alike(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    page = Page(ws.panel(triaged))
    owner = next(column for column in page.widget.table["columns"] if column["name"] == "owner")
    assert owner["facet"]
    assert set(owner["values"]) == set(triaged.loc[triaged["cause"].notna(), "owner"])
    page.look(facets={"owner": ["maria.k"]})
    code = page.panel.code()
    assert ', owner_field="owner", campaign_field="campaign")' in code
    assert 'chosen["owner"]' in code
