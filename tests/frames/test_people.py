"""Names of people: owner, campaign and tags from metadata, in frames and causes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd
import pytest

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
    for name in FIELDS:
        assert list(posts[name]) == [data[name] for data in posts["metadata"]]
        assert str(posts[name].dtype) == "string"
    targets = vx.targets(posts).drop_duplicates("post_id", ignore_index=True)
    assert targets[["owner", "tags"]].equals(posts[["owner", "tags"]])
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


def test_causes_say_whose_the_posts_are(triaged: pd.DataFrame) -> None:
    for count, rest in ((6, " and 1 more"), (5, "")):
        few = pd.concat([triaged[triaged["cause"].notna()].head(1)] * count, ignore_index=True)
        few = few.assign(owner=[*"abbcde"][:count], post_id=[f"post_{n}" for n in range(count)])
        assert vx.causes(few)["owners"].to_list() == ["b (2), a (1), c (1), d (1)" + rest]
