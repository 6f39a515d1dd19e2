"""Names of people: owner, campaign and tags from metadata, in frames and causes."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import voxops as vx
from voxops.frames.records import build
from voxops.loading.filters import with_people

SETTINGS = {"owner_field": "metadata.owner", "campaign_field": "campaign"}


def test_posts_and_targets_say_whose_they_are(ws, triaged):
    posts = ws.posts(limit=30)
    for name in ("owner", "campaign"):
        assert list(posts[name]) == [data[name] for data in posts["metadata"]]
        assert str(posts[name].dtype) == "string"
    targets = vx.targets(posts).drop_duplicates("post_id", ignore_index=True)
    assert targets[["owner", "tags"]].equals(posts[["owner", "tags"]])
    assert triaged.attrs["people"] == {"owner": "metadata.owner", "campaign": "metadata.campaign"}
    assert vx.view(triaged).columns[3:5] == ("owner", "campaign")


def test_a_field_that_no_post_has_is_a_typo_if_it_is_near_one_that_some_have():
    posts = build("posts", [{"id": "post_1", "metadata": {"owner": None, "Owner": "maria.k"}}])
    for empty in ("metadata.owner", "metadata.team.lead"):  # nothing is warned of: warnings are errors here
        assert with_people(posts, {"owner": empty})["owner"].isna().all()
    said = "owner_field='ownr': no post has this field in its metadata; did you mean 'owner'"
    with pytest.warns(UserWarning, match=said):
        assert with_people(posts, {"owner": "metadata.ownr"})["owner"].isna().all()


def test_settings_come_from_the_environment_too(sandbox, monkeypatch):
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
def test_a_setting_that_is_none_is_refused(setting, sandbox):
    with pytest.raises(vx.errors.ConfigError, match=re.escape(repr(next(iter(setting.values()))))):
        vx.connect(sandbox=sandbox, **setting)


def test_metadata_of_any_shape_are_read():
    owners = [{"owner": " ann "}, "x", {"owner": ["a", "b"]}, {"owner": 7}]
    cells = [*({"team": owner} for owner in owners), None, '{"team": {"owner": "file"}}']
    posts = pd.DataFrame({"metadata": cells, "tags": [()] * len(cells)})
    found = with_people(posts, {"owner": "metadata.team.owner", "tags": "metadata.team.owner"})
    assert found["owner"].to_list() == ["ann", pd.NA, "a, b", "7", pd.NA, "file"]
    assert [tuple(tags) for tags in found["tags"]] == [("ann",), (), ("a", "b"), ("7",), (), ("file",)]
    assert "owner" not in posts.columns
