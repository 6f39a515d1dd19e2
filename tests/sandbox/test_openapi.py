"""The sandbox's OpenAPI describes its answers to generated requests, the toolkit's requests, and every row of the matrix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from voxburst_sandbox import Sandbox, Switches
from voxops._support import eventloop
from voxops.api import limits
from voxops.conformance.laws import try_rows

if TYPE_CHECKING:
    import schemathesis  # takes a second to import, which every worker would wait for


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(posts=60, deliveries=60, rate_limit=None, switches=Switches(silent_webhooks=True)) as running:
        yield running


@pytest.fixture(scope="module")
def spec(sandbox) -> dict[str, Any]:
    import httpx

    return httpx.get(f"{sandbox.url}/v1/openapi.json", trust_env=False).json()


def ids(sandbox: Sandbox) -> dict[str, str]:
    """Ids of what is there now, so that requests get past the look-up; failed posts first, whose calls do the most."""
    world = sandbox.world
    post = min(world.posts.values(), key=lambda post: post.status != "failed")
    delivery = next((item for item in world.deliveries.values() if item.webhook_id in world.webhooks), None)
    return {
        "posts": post.id, "target": post.targets[0].id, "accounts": next(iter(world.accounts)),
        "media": next(iter(world.media), "media_none"), "webhooks": delivery.webhook_id if delivery else "wh_none",
        "delivery": delivery.id if delivery else "del_none", "platform": "threads",
    }  # fmt: skip


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


def attack(sandbox: Sandbox, operation: Any, examples: int) -> tuple[int, str]:
    """Send one operation what fits its description and what does not; how often, and what was found."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    followed = (
        not_a_server_error, checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance,
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
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        case.call_and_validate(base_url=sandbox.url, checks=followed, headers=headers)

    try:
        run()
    except (Exception, BaseExceptionGroup) as error:
        return tried, f"{operation.method.upper()} {operation.path}: {error}"
    return tried, ""


FEW = ("/v1/posts", "/v1/posts/{id}/retry")


@pytest.mark.parametrize("examples", [3, pytest.param(8, marks=pytest.mark.release)])
def test_no_request_gets_a_5xx_or_an_answer_outside_the_description(sandbox, spec, examples):
    """Few requests to the busiest paths, or, before a release, several to every one."""
    import schemathesis

    paths = FEW if examples < 8 else spec["paths"]
    document = {**spec, "paths": {path: spec["paths"][path] for path in paths}}
    found = schemathesis.openapi.from_dict(document).get_all_operations()
    results = [attack(sandbox, each.ok(), examples) for each in found]
    findings = [finding for _, finding in results if finding]
    cases = sum(count for count, _ in results)
    print(f"operations={len(results)} cases={cases} findings={len(findings)}")
    assert not findings, "\n".join(findings)
    assert len(results) == len(operations(document))
    assert cases >= 0.6 * examples * len(results)


def test_both_sides_know_the_same_limits(spec):
    shapes = spec["components"]["schemas"]
    assert shapes["BulkPosts"]["properties"]["posts"]["maxItems"] == limits.BULK_POSTS
    assert shapes["NewPost"]["properties"]["content"]["maxLength"] == limits.CONTENT_CHARACTERS


def matching(spec: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """The operation that governs a request; the one with the fewest variable parts."""
    found = []
    for known, methods in spec["paths"].items():
        parts, wanted = known.split("/"), path.split("/")
        if len(parts) == len(wanted) and all(a == b or a.startswith("{") for a, b in zip(parts, wanted, strict=True)):
            found.append((known.count("{"), methods.get(method.lower())))
    return min((entry for entry in found if entry[1]), key=lambda entry: entry[0], default=(0, None))[1]


@pytest.mark.release
def test_every_request_of_the_toolkit_is_as_described(spec):
    from jsonschema import Draft202012Validator

    with Sandbox(posts=20, deliveries=20, rate_limit=None, switches=Switches(record_bodies=True)) as sandbox:
        assert all(finding.ok for finding in eventloop.run(try_rows(sandbox, lambda _: None)))
        sent = [entry for entry in sandbox.requests() if entry["path"].startswith("/v1/")]
    wrong = []
    for entry in sent:
        operation = matching(spec, entry["method"], unquote(entry["path"]))
        if operation is None:
            wrong.append((entry["method"], entry["path"], "not described"))
            continue
        query = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
        wrong += [(entry["path"], "query", name) for name in set(entry["query"]) - query]
        content = operation.get("requestBody", {}).get("content", {})
        if entry["sent"] and content and 200 <= entry["status"] < 300:
            shape = {**content["application/json"]["schema"], "components": spec["components"]}
            errors = Draft202012Validator(shape).iter_errors(json.loads(entry["sent"]))
            wrong += [(entry["path"], error.json_path, error.message[:80]) for error in errors]
    assert not wrong, wrong[:10]
    assert len(sent) > 300
