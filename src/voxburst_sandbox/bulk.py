"""Many posts in one request, each with its own result (contract: 8.2; rows 11 and 12)."""

from __future__ import annotations

from typing import Any

from voxburst_sandbox.checks import problems
from voxburst_sandbox.http import Answer, Call, Route, invalid, refuse_quota
from voxburst_sandbox.legacy import translated
from voxburst_sandbox.posts import create_post

__all__ = ["MOST_ITEMS", "MOST_VIDEOS", "ROUTES"]

MOST_ITEMS = 50
MOST_VIDEOS = 20


def _bulk(call: Call) -> Answer:
    """POST /posts/bulk: items are created one by one, in order; one bad item does not stop the others."""
    body = call.json(required=True)
    items = body.get("posts")
    if not isinstance(items, list) or not items:
        invalid("posts must hold at least one post", field="posts")
    if len(items) > MOST_ITEMS:
        invalid(
            f"at most {MOST_ITEMS} posts in one request", field="posts", maxLength=MOST_ITEMS, actualLength=len(items)
        )
    return _run(call, items, dry=body.get("dryRun") is True)


def _bulk_video(call: Call) -> Answer:
    """POST /posts/bulk-video: as bulk, of at most 20 videos; `videos` or `posts`, each with its `mediaId`."""
    body = call.json(required=True)
    items = body.get("videos", body.get("posts"))
    if not isinstance(items, list) or not items:
        invalid("videos must hold at least one video", field="videos")
    if len(items) > MOST_VIDEOS:
        invalid(
            f"at most {MOST_VIDEOS} videos in one request",
            field="videos",
            maxLength=MOST_VIDEOS,
            actualLength=len(items),
        )
    return _run(call, [_as_post(item) for item in items], dry=body.get("dryRun") is True)


def _as_post(item: Any) -> Any:
    """Return a video item as a post item."""
    if not isinstance(item, dict):
        return item
    media = item.get("media") or ([item["mediaId"]] if item.get("mediaId") else [])
    return {"contentType": "VIDEO", **item, "media": media}


def _run(call: Call, items: list[Any], *, dry: bool) -> Answer:
    """Create or only check each item, and report by index."""
    refuse_quota(call)
    if call.world.switches.bulk_refuses_whole:
        _refuse_whole(call, items)
    results = []
    for index, item in enumerate(items):
        if call.cut_short is not None and index >= call.cut_short.items:
            return call.cut_short.answer
        results.append(_item(call, index, item, dry=dry))
    failed = sum(result["status"] == "failed" for result in results)
    created = 0 if dry else len(results) - failed
    name = "dryRun" if call.world.switches.bulk_camel else "dry_run"
    data = {name: dry, "total": len(results), "created": created, "failed": failed, "results": results}
    if failed == len(results) and call.world.switches.bulk_status == "refuses":
        error = {"code": "VALIDATION_ERROR", "message": "no post was created"}
        return Answer(422, {"error": error, **data})
    return Answer(_status(call, failed, dry=dry), data)


def _refuse_whole(call: Call, items: list[Any]) -> None:
    """Refuse everything for the first bad item, naming it."""
    for index, item in enumerate(items):
        for problem in problems(call.world, translated(call.world, item)) if isinstance(item, dict) else ():
            invalid(problem.message, problem.code, field=f"posts[{index}].{problem.field}", index=index)


def _item(call: Call, index: int, item: Any, *, dry: bool) -> dict[str, Any]:
    """Return the result of one item; what does not apply is absent (contract: SCH)."""
    if not isinstance(item, dict):
        errors = [{"field": "", "issue": "VALIDATION_ERROR", "detail": "an item must be an object"}]
    else:
        item = translated(call.world, item)
        errors = [problem.item() for problem in problems(call.world, item)]
    if errors:
        return {"index": index, "status": "failed", "errors": errors}
    if dry:
        return {"index": index, "status": "valid"}
    return {"index": index, "status": "created", "postId": create_post(call, item, index).id}


def _status(call: Call, failed: int, *, dry: bool) -> int:
    """Return the status of the whole, which the contract leaves open."""
    fixed = call.world.switches.bulk_status
    if fixed not in ("by_result", "refuses"):
        return int(fixed)
    return 207 if failed else (200 if dry else 201)


ROUTES = (
    Route("POST", "/v1/posts/bulk", _bulk),
    Route("POST", "/v1/posts/bulk-video", _bulk_video),
)
