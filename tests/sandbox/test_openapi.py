"""The sandbox's OpenAPI describes its answers to generated requests, and the toolkit's requests on every row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.conformance.bench import bench
from tests.conformance.laws import differences as differs
from tests.sandbox.support import AUTH

from voxburst_sandbox import Sandbox
from voxops.api.matrix import MATRIX

if TYPE_CHECKING:
    import schemathesis  # takes a second to import, which every worker would wait for

SANDBOX, SWITCHES = {"posts": 60, "deliveries": 60}, {"silent_webhooks": True}
BUSIEST = ("/v1/posts", "/v1/posts/{id}/retry")


@pytest.fixture
def spec(sandbox: Sandbox) -> dict[str, Any]:
    return httpx.get(f"{sandbox.url}/api/openapi.json", trust_env=False).json()


def test_the_description_lies_where_the_api_has_it_in_two_formats(sandbox, spec):
    import yaml

    other = httpx.get(f"{sandbox.url}/api/openapi.yaml", trust_env=False)
    assert other.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(other.text) == spec
    assert spec["paths"]["/v1/posts"]["get"]


BODIES = {
    "/v1/media/register": {"url", "contentType"}, "/v1/accounts/connect": {"platform"}, "/v1/posts/validate": {"content", "platforms"},
    "/v1/accounts/connect/{platform}": set(), "/v1/ai/image-jobs": {"posts"},
}  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
def test_what_is_required_is_described_and_refused_by_name_without_it(sandbox, spec, path):
    body = spec["paths"][path]["post"]["requestBody"]
    shape = spec["components"]["schemas"][body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]]
    assert (set(shape["required"]), body["required"]) == (BODIES[path], bool(BODIES[path]))
    answer = httpx.post(sandbox.url + path.replace("{platform}", "threads"), json={}, headers=AUTH, trust_env=False)
    if BODIES[path]:
        assert (answer.status_code, answer.json()["error"]["details"]["field"] in BODIES[path]) == (400, True)
    else:
        assert answer.status_code == 200


def test_platforms_are_those_that_are_described_in_either_casing(sandbox, spec):
    described = spec["components"]["schemas"]["Validation"]["properties"]["platforms"]["items"]["enum"]
    assert len(described) == 30
    body = {"content": "x", "platforms": described}
    with httpx.Client(base_url=sandbox.url, headers=AUTH, trust_env=False) as api:
        assert set(api.post("/v1/posts/validate", json=body).json()["platforms"]) == set(described)
        unknown = api.post("/v1/posts/validate", json={"content": "x", "platforms": ["TWITTER", "myspace"]})
    assert (unknown.status_code, unknown.json()["error"]["details"]) == (400, {"field": "platforms"})


def ids(sandbox: Sandbox) -> dict[str, str]:
    """Ids of what is there now, so that requests get past the look-up; failed posts first, whose calls do the most."""
    world = sandbox.world
    post = min(world.posts.values(), key=lambda post: post.status != "failed")
    delivery = next((item for item in world.deliveries.values() if item.webhook_id in world.webhooks), None)
    sets = httpx.get(f"{sandbox.url}/v1/hashtag-sets", headers=AUTH, trust_env=False).json()["data"]
    return {
        "hashtag-sets": sets[0]["id"] if sets else "cnone", "ai": "job_none", "posts": post.id, "target": post.targets[0].id, "accounts": next(iter(world.accounts)),
        "media": next(iter(world.media), "media_none"), "webhooks": delivery.webhook_id if delivery else "wh_none",
        "delivery": delivery.id if delivery else "del_none", "platform": "threads",
    }  # fmt: skip


def attack(sandbox: Sandbox, operation: Any, examples: int) -> int:
    """Send one operation what fits its description and what does not; returns how often."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    followed = (
        not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_schema_conformance,
    )  # fmt: skip
    known, parts = ids(sandbox), operation.path.split("/")
    known["id"] = known.get(parts[3] if parts[2] == "analytics" else parts[2], "")
    tried = 0

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def run(case: schemathesis.Case) -> None:
        nonlocal tried
        tried += 1
        if tried % 3:  # two in three name something that is there
            for name in case.path_parameters or {}:
                case.path_parameters[name] = known[name]
        case.call_and_validate(base_url=sandbox.url, checks=followed, headers=AUTH)

    run()
    return tried


@pytest.mark.parametrize("examples", [3, pytest.param(8, marks=pytest.mark.release)])
def test_no_request_gets_a_5xx_or_an_answer_outside_the_description(sandbox, spec, subtests, examples):
    """Few requests to the busiest paths, or, before a release, several to every one."""
    import schemathesis

    paths = {path: spec["paths"][path] for path in (BUSIEST if examples < 8 else spec["paths"])}
    found = [each.ok() for each in schemathesis.openapi.from_dict(spec | {"paths": paths}).get_all_operations()]
    assert len(found) == sum(map(len, paths.values()))
    cases = 0
    for operation in found:
        with subtests.test(operation=f"{operation.method.upper()} {operation.path}"):
            cases += attack(sandbox, operation, examples)
    print(f"operations={len(found)} cases={cases}")
    assert cases >= 0.6 * examples * len(found)


def matching(spec: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """The operation that governs a request; the one with the fewest variable parts."""
    found = []
    for known, methods in spec["paths"].items():
        parts, wanted = known.split("/"), path.split("/")
        if len(parts) == len(wanted) and all(a == b or a.startswith("{") for a, b in zip(parts, wanted, strict=True)):
            found.append((known.count("{"), methods.get(method.lower())))
    return min((entry for entry in found if entry[1]), key=lambda entry: entry[0], default=(0, None))[1]


def differences(spec: dict[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    """In what a request is not as described."""
    from jsonschema import Draft202012Validator

    operation = matching(spec, entry["method"], unquote(entry["path"]))
    if operation is None:
        yield "not described"
        return
    yield from set(entry["query"]) - {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    content = operation.get("requestBody", {}).get("content")
    if entry["sent"] and content and 200 <= entry["status"] < 300:
        shape = {**content["application/json"]["schema"], "components": spec["components"]}
        for error in Draft202012Validator(shape).iter_errors(json.loads(entry["sent"])):
            yield f"{error.json_path}: {error.message[:80]}"


@pytest.mark.release
def test_every_request_of_the_toolkit_is_as_described(spec):
    with bench(record_bodies=True) as made:
        assert not any(list(map(partial(differs, made), MATRIX)))
        sent = [entry for entry in made.sandbox.requests() if entry["path"].startswith("/v1/")]
    assert [(entry["method"], entry["path"], what) for entry in sent for what in differences(spec, entry)] == []
    assert len(sent) > 300
