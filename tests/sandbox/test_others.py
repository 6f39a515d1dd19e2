"""Personas, hashtag sets, contacts and image jobs show the accounts, posts and media that are there."""

from __future__ import annotations

import re

import pytest
from tests.sandbox.support import KEY, draft, refusal, walk

SANDBOX, SWITCHES = {"posts": 60, "deliveries": 0}, {"failure_rate": 0.0}


def test_personas_link_every_account_of_their_brand(api):
    accounts = walk(api, "/accounts")
    personas = api.get("/personas").json()["personas"]
    assert [(one["name"], one["isWorkspaceDefault"]) for one in personas] == [
        ("Alder Coffee", True),
        ("Alder Berlin", False),
    ]
    for one in personas:
        own = [account for account in accounts if account["displayName"] == one["name"]]
        assert sorted(one["linkedAccountIds"]) == sorted(account["id"] for account in own)
        assert one["createdAt"] == min(account["connectedAt"] for account in own)
        assert one["platforms"] == ["x", "linkedin", "instagram", "facebook", "bluesky", "threads"]


def test_hashtag_sets_hold_what_the_posts_of_a_campaign_use(api):
    posts, sets = walk(api, "/posts", limit=100), walk(api, "/hashtag-sets", limit=2)
    assert len(sets) == len({one["name"] for one in sets}) == 5
    assert [one["updatedAt"] for one in sets] == sorted((one["updatedAt"] for one in sets), reverse=True)
    for one in sets:
        own = [post for post in posts if post["metadata"]["campaign"] == one["name"]]
        assert one["tags"] == sorted({tag for post in own for tag in re.findall(r"#(\w+)", post["content"])})
        assert one["updatedAt"] == max(post["updatedAt"] for post in own)
        assert api.get(f"/hashtag-sets/{one['id']}").json() == {"data": one}
    assert any(one["tags"] for one in sets)
    assert api.get("/hashtag-sets").json()["pagination"]["limit"] == 50
    assert refusal(api.get("/hashtag-sets/none")) == (404, "NOT_FOUND")


def test_contacts_come_in_pages_by_number_and_are_filtered(api):
    first, second, third = (api.get("/contacts", params={"page": page}).json() for page in (1, 2, 3))
    assert (first["page"], first["limit"], len(first["contacts"]), len(second["contacts"])) == (1, 20, 20, 4)
    assert third["contacts"] == []
    everybody = first["contacts"] + second["contacts"]
    assert len({one["id"] for one in everybody}) == 24
    chosen = api.get("/contacts", params={"platform": "TWITTER", "tags": "vip", "search": "SAND"}).json()["contacts"]
    assert chosen == [one for one in everybody if (one["platform"], one["tags"]) == ("TWITTER", ["vip"])]
    assert len(chosen) == 2
    latest = max(
        target["publishedAt"] for post in walk(api, "/posts", limit=100) for target in post["platforms"] if target["publishedAt"]
    )  # fmt: skip
    assert max(one["lastSeenAt"] for one in everybody) == latest
    assert refusal(api.get("/contacts", params={"page": "0"})) == (400, "VALIDATION_ERROR")


def test_an_image_job_puts_images_into_the_library(sandbox, api):
    post = draft(api)["id"]
    items = [{"postId": post, "prompt": "Oat flat white"}, {"postId": post, "prompt": "broken cup"}]
    begun = api.post("/ai/image-jobs", json={"posts": items}, headers=KEY)
    job = begun.json()
    assert (begun.status_code, job["status"], job["completedItems"], job["totalItems"]) == (202, "PENDING", 0, 2)
    assert api.post("/ai/image-jobs", json={"posts": items}, headers=KEY).json() == job
    path = f"/ai/image-jobs/{job['jobId']}"
    during = api.get(path).json()
    assert [during["status"], *(item["status"] for item in during["items"])] == ["PROCESSING"] * 3
    sandbox.advance(30)
    done = api.get(path).json()
    assert (done["status"], done["completedItems"]) == ("PARTIAL", 1)
    image, broken = done["items"]
    file = api.get(f"/media/{image['mediaId']}").json()
    assert (image["status"], image["imageUrl"], file["filename"]) == ("COMPLETED", file["url"], "oat-flat-white.jpg")
    assert (broken["status"], broken["errorCode"], broken["mediaId"]) == ("FAILED", "MEDIA_PROCESSING_FAILED", None)
    assert len(sandbox.effects("image.job")) == 1


@pytest.mark.parametrize(("posts", "field"), [
    ([], "posts"), ([{"postId": "x", "prompt": "y"}] * 51, "posts"), ([{"postId": "post_none", "prompt": "y"}], "posts[0].postId"),
])  # fmt: skip
def test_an_image_job_that_makes_no_sense_is_refused(sandbox, api, posts, field):
    answer = api.post("/ai/image-jobs", json={"posts": posts})
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, field)
    assert sandbox.effects("image.job") == []
    assert refusal(api.get("/ai/image-jobs/job_none")) == (404, "NOT_FOUND")
