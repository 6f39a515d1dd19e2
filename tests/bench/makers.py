"""Material: posts and deliveries as the API sends them, page by page; a history of millions as an archive would hold it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voxops.archive._table import SCHEMA

PAGE = 100
PLATFORMS = ("twitter", "linkedin", "instagram", "facebook", "bluesky", "threads")
ERRORS = (
    {"code": "RATE_LIMITED", "message": "Too many requests, retry after 900 s"},
    {"code": "MEDIA_INVALID", "message": "Aspect ratio 2.41:1 is not supported"},
    {"code": "CONTENT_TOO_LONG", "message": "The text has 301 of 280 characters"},
)


def write_pages(path: Path, kind: str, count: int) -> None:
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


def pages(path: Path) -> Iterator[bytes]:
    """The bytes of each page, as they would come from the network: one in memory at a time.

    Read in large pieces, since what reading costs is nobody's merit and would make all candidates more alike.
    """
    with path.open("rb", buffering=2**20) as file:
        yield from file


def _time(number: int) -> str:
    """An instant within 30 days."""
    minute, second = number * 7 % 60, number * 13 % 60
    return f"2026-02-{number % 28 + 1:02d}T{number * 3 % 24:02d}:{minute:02d}:{second:02d}.{number % 1000:03d}Z"


def _post(number: int) -> dict[str, object]:
    """A post with two or three targets."""
    targets = []
    for at in range(2 + number % 2):
        failed = (number + at) % 9 == 0
        platform = PLATFORMS[(number + at) % 6]
        identifier = str(10**18 + number * 7919 + at)
        targets.append(
            {
                "platform": platform,
                "accountId": f"acc_{(number + at) % 12:02d}k3v9x2m",
                "status": "failed" if failed else "published",
                "error": ERRORS[number % 3] if failed else None,
                "platformPostId": None if failed else identifier,
                "platformPostUrl": None if failed else f"https://{platform}.example/p/{identifier}",
                "publishedAt": None if failed else _time(number),
            }
        )
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


def _delivery(number: int) -> dict[str, object]:
    """A delivery."""
    failed = number % 23 == 0
    return {
        "id": f"del_{number:09d}h4",
        "webhookId": f"wh_{number % 3}f8a2",
        "eventType": ("post.published", "post.created", "post.failed")[number % 3],
        "url": f"https://hooks{number % 3}.example/voxburst",
        "statusCode": 503 if failed else 200,
        "latencyMs": 60 + number * 37 % 900,
        "responseBody": "upstream connect error" if failed else "OK",
        "retryCount": number % 4 if failed else 0,
        "success": not failed,
        "error": "receiver answered 503" if failed else None,
        "createdAt": _time(number),
        "deliveredAt": None if failed else _time(number + 1),
    }


def write_history(root: Path, rows: int, days: int = 30) -> Path:
    """Write a history of deliveries where an archive keeps it; kept if it is there."""
    if root.exists():
        return root
    aside = root.with_suffix(".new")
    rng = np.random.default_rng(7)
    for day in range(days):
        name = f"2026-01-{day + 1:02d}"
        folder = aside / "deliveries" / f"day={name}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            _day(rng, name, day, rows // days), folder / "part-0.parquet", compression="zstd", row_group_size=65_536
        )
    aside.rename(root)
    return root


def _day(rng: np.random.Generator, name: str, day: int, rows: int) -> pa.Table:
    """One day of deliveries."""
    start = np.datetime64(name, "us").astype(np.int64)
    created = np.sort(start + rng.integers(0, 86_400_000_000, rows))[::-1]
    failed = rng.random(rows) < 0.04
    latency = rng.lognormal(5.2, 0.8, rows).astype(np.int64)
    hook = rng.integers(0, 3, rows)
    kinds = rng.choice(5, rows, p=[0.4, 0.3, 0.2, 0.06, 0.04])
    take = lambda words, codes: pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words)).cast(pa.string())  # noqa: E731
    never = pa.array(failed)
    columns = {
        "delivery_id": pa.array(np.char.add("del_", (np.arange(rows) + day * rows + 10**9).astype(str)).astype(object)),
        "webhook_id": take(["wh_0f8a2", "wh_1f8a2", "wh_2f8a2"], hook),
        "event_type": take(["post.published", "post.created", "post.scheduled", "post.failed", "media.uploaded"], kinds),
        "url": take([f"https://hooks{number}.example/voxburst" for number in range(3)], hook),
        "success": pa.array(~failed),
        "status_code": pa.array(np.where(failed, 503, 200)),
        "latency_ms": pa.array(latency),
        "retry_count": pa.array(np.where(failed, rng.integers(0, 4, rows), 0)),
        "error": take(["receiver answered 503", None], np.where(failed, 0, 1)),
        "response_body": take(["upstream connect error", "OK"], np.where(failed, 0, 1)),
        "created_at": pa.array(created).cast(pa.timestamp("us", "UTC")),
        "delivered_at": pa.array(created + latency * 1000, mask=never.to_numpy(zero_copy_only=False)).cast(pa.timestamp("us", "UTC")),
    }  # fmt: skip
    return pa.table(columns, schema=SCHEMA["deliveries"])
