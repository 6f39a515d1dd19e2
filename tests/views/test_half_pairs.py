"""Half of an emoji, where an API has cut a text, breaks no frame, no view and no file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from tests.security.raw import answer, serve

import voxops as vx

HALF = "half \ud83d"
TARGET = {"platform", "account_name", "code", "message"}
REST = {"content", "owner", "tag", "event", "url", "error", "response_body"}
NOON = "2026-03-01T09:00:00Z"


def api(cut: set[str]) -> Callable[[bytes, bytes], Iterator[bytes]]:
    """A server that shows one failed post and one failed delivery, in which some texts are cut within an emoji."""

    def text(name: str, usual: str = "plain") -> str:
        return HALF if name in cut else usual

    target = {
        "platform": text("platform", "twitter"), "accountId": "acc1", "accountName": text("account_name"), "status": "failed",
        "error": {"code": text("code"), "message": text("message")},
    }  # fmt: skip
    post = {
        "id": "p1", "status": "failed", "content": text("content"), "createdAt": NOON, "updatedAt": NOON,
        "metadata": {"owner": text("owner"), "tags": [text("tag")]}, "platforms": [target],
    }  # fmt: skip
    delivery = {
        "id": "d1", "webhookId": "w1", "eventType": text("event"), "url": f"https://e.example/{text('url')}", "success": False,
        "statusCode": 500, "error": text("error"), "responseBody": text("response_body"), "createdAt": NOON,
    }  # fmt: skip
    pages: dict[str, Any] = {
        "/v1/auth/me": {"workspaceId": "ws_1", "workspaceName": "n", "plan": "p"},
        "/v1/posts": [post],
        "/v1/webhooks": [{"id": "w1", "url": "https://e.example/x"}],
        "/v1/webhooks/w1/deliveries": [delivery],
    }

    def handler(head: bytes, _: bytes) -> Iterator[bytes]:
        path = head.split()[1].decode().partition("?")[0]
        found = pages.get(path)
        body = {"error": {"code": "NOT_FOUND"}} if found is None else {"data": found, "pagination": {"hasMore": False}}
        status = "404 Not Found" if found is None else "200 OK"
        yield answer(json.dumps(body).encode(), status, Date="Mon, 02 Mar 2026 09:00:00 GMT")

    return handler


@pytest.mark.parametrize("cut", [TARGET | REST, REST, TARGET - {"platform"}], ids=["all", "the rest", "target"])
def test_a_text_that_was_cut_within_an_emoji_breaks_nothing(cut: set[str], tmp_path: Path) -> None:
    with serve(api(cut)) as server:
        settings = {"owner_field": "metadata.owner", "tags_field": "metadata.tags"}
        ws = vx.connect("vb_live_abcdefgh12345678", url=server.url, ledger=tmp_path / "l.sqlite", **settings)
        triaged, log = vx.triage(vx.targets(ws.posts())), ws.deliveries()
        shown = [
            vx.causes(triaged), vx.deliveries.lost(log), vx.deliveries.outages(log), vx.deliveries.stats(log),
            vx.deliveries.duplicates(log), vx.plan_retry(triaged).frame, triaged, log,
        ]  # fmt: skip
        for frame in shown:
            assert "\ud83d" not in vx.view(frame)._repr_html_() + repr(vx.view(frame, live=True))
            frame.to_csv(tmp_path / "a.csv")
        for report in (vx.report(triaged), vx.report(log)):
            report.to_html(tmp_path / "a.html")
        for panel in (ws.panel(triaged), ws.panel(ws.deliveries(since="7D"))):
            panel._live.begin()
            assert panel._repr_html_()
        vx.plots.causes_by_platform(triaged)
        vx.plots.endpoint_heatmap(log)
        vx.to_excel(tmp_path / "a.xlsx", triaged=triaged, log=log)
        log.to_parquet(tmp_path / "a.parquet")
        plt.close("all")
        assert len(log) == len(triaged) == 1
        ws.close()
