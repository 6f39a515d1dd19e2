"""Material: posts and deliveries as the API sends them, page by page."""

from __future__ import annotations

import msgspec

PAGE = 100
PLATFORMS = ("twitter", "linkedin", "instagram", "facebook", "bluesky", "threads")
ERRORS = (
    {"code": "RATE_LIMITED", "message": "Too many requests, retry after 900 s"},
    {"code": "MEDIA_INVALID", "message": "Aspect ratio 2.41:1 is not supported"},
    {"code": "CONTENT_TOO_LONG", "message": "The text has 301 of 280 characters"},
)


def write_pages(path, kind, count):
    """Write pages of records, one page a line; kept if it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    make = {"posts": _post, "deliveries": _delivery}[kind]
    aside = path.with_suffix(".new")
    with aside.open("wb") as file:
        for start in range(0, count, PAGE):
            records = [make(number) for number in range(start, min(count, start + PAGE))]
            pagination = {"has_more": start + PAGE < count, "next_cursor": f"c{start + PAGE}", "limit": PAGE}
            file.write(msgspec.json.encode({"data": records, "pagination": pagination}) + b"\n")
    aside.replace(path)


def pages(path):
    """The bytes of each page, as they would come from the network: one in memory at a time.

    Read in large pieces, since what reading costs is nobody's merit and would make all candidates more alike.
    """
    with path.open("rb", buffering=2**20) as file:
        yield from file


def _time(number):
    """An instant within 30 days."""
    minute, second = number * 7 % 60, number * 13 % 60
    return f"2026-02-{number % 28 + 1:02d}T{number * 3 % 24:02d}:{minute:02d}:{second:02d}.{number % 1000:03d}Z"


def _post(number):
    """A post with two or three targets."""
    targets = []
    for at in range(2 + number % 2):
        failed = (number + at) % 9 == 0
        platform = PLATFORMS[(number + at) % 6]
        identifier = str(10**18 + number * 7919 + at)
        targets.append({
            "platform": platform, "accountId": f"acc_{(number + at) % 12:02d}k3v9x2m",
            "status": "failed" if failed else "published", "error": ERRORS[number % 3] if failed else None,
            "platformPostId": None if failed else identifier,
            "platformPostUrl": None if failed else f"https://{platform}.example/p/{identifier}",
            "publishedAt": None if failed else _time(number),
        })  # fmt: skip
    return {
        "id": f"post_{number:08d}q7w2",
        "content": f"Autumn roast no. {number} is here: slow, sweet, and a little smoky. Come by or order online. #coffee #alder "
        * 2,
        "contentType": "image",
        "status": "partial" if any(each["error"] for each in targets) else "published",
        "scheduledFor": _time(number) if number % 3 else None,
        "publishedAt": _time(number + 1),
        "createdAt": _time(number),
        "updatedAt": _time(number + 2),
        "platforms": targets,
        "tags": ["autumn", f"week-{number % 52}"],
        "metadata": {"campaign": f"c{number % 20}", "owner": "ada", "sheetRow": number},
        "workspaceId": "ws_9f2k",
    }


def _delivery(number):
    """A delivery."""
    failed = number % 23 == 0
    return {
        "id": f"del_{number:09d}h4", "webhookId": f"wh_{number % 3}f8a2",
        "eventType": ("post.published", "post.created", "post.failed")[number % 3],
        "url": f"https://hooks{number % 3}.example/voxburst", "statusCode": 503 if failed else 200,
        "latencyMs": 60 + number * 37 % 900, "responseBody": "upstream connect error" if failed else "OK",
        "retryCount": number % 4 if failed else 0, "success": not failed,
        "error": "receiver answered 503" if failed else None, "createdAt": _time(number),
        "deliveredAt": None if failed else _time(number + 1),
    }  # fmt: skip
