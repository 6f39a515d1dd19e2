"""The service of `docs/how-to/service.md`, in a process of its own: it is ended in the middle of a run, and loses nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pandas as pd
import pytest
from tests.virtual import until

import voxops as vx
from voxburst_sandbox import Fault, Sandbox

SERVICE = Path(__file__).parents[2] / "docs" / "how-to" / "service.py"
SOURCE = Path(vx.__file__).parents[1]
TOKEN = "a-token-of-more-than-32-characters"
ROWS = 600  # twelve calls, ten at once
HOURS = pd.date_range("2026-04-01T09:00Z", periods=ROWS, freq="h").strftime("%Y-%m-%dT%H:%MZ")
NAMES = [f"r{row}" for row in range(ROWS)]
SHEET = "row_id,content,accounts,scheduled_for\n" + "".join(
    f"{name},Cup {name} of the day,twitter:@aldercoffee,{hour}\n" for name, hour in zip(NAMES, HOURS, strict=True)
)


@contextmanager
def served(sandbox: Sandbox, folder: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str], Path]]:
    """The service in a process, a client of it, the process and its log."""
    log = folder / "log"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(SERVICE.parent), "service:app", "--port", "0"]
    command += ["--timeout-graceful-shutdown", "1"]
    env = os.environ | {"VOXBURST_API_KEY": sandbox.api_key, "VOXBURST_API_URL": sandbox.url}
    env |= {"SERVICE_DATA": str(folder / "data"), "SERVICE_TOKEN": TOKEN, "PYTHONPATH": str(SOURCE)}
    with log.open("w") as out, subprocess.Popen(command, stderr=out, env=env, text=True) as process:
        try:
            until(lambda: "running on" in log.read_text() or process.poll() is not None)
            address = re.search(r"running on (http://\S+)", log.read_text())
            assert address, log.read_text()
            with httpx.Client(base_url=address[1], timeout=60, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
                yield client, process, log
        finally:
            process.kill()


def answer(response: httpx.Response, status: int = 200) -> dict:
    assert response.status_code == status, response.text
    return response.json()


def told(client: httpx.Client, run: str, begun: Callable[[], object] = lambda: None) -> Iterator[tuple[str, dict]]:
    """The events of a run as the service sends them, until it ends or breaks off."""
    with client.stream("GET", f"/runs/{run}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        begun()
        kind = "row"
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)


def created(sandbox: Sandbox) -> list[str]:
    return [effect["mark"] for effect in sandbox.effects("post.create")]


def test_a_service_that_is_ended_in_the_middle_of_a_run_goes_on_after_a_restart(sandbox, tmp_path):
    sandbox.set_speed(1)
    sandbox.add_fault(Fault("delay", "POST", "/v1/posts/bulk", seconds=2, when="after", times=None))
    with served(sandbox, tmp_path) as (client, process, log):
        assert answer(client.put("/sheets/spring.csv", content=SHEET), 201) == {"rows": ROWS, "findings": []}
        plan = answer(client.get("/sheets/spring.csv/plan"))
        assert [row["row_id"] for row in plan["rows"] if row["eligible"]] == NAMES
        assert created(sandbox) == []
        run = answer(client.post("/sheets/spring.csv/runs", params={"reason": "ticket 4711"}), 202)["run"]
        until(lambda: created(sandbox))  # done, and not yet answered
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):  # the stream breaks off
            for _ in told(client, run, process.terminate):
                pass
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert f"ws.attach('{run}').resume() goes on" in log.read_text()
        assert sandbox.api_key not in log.read_text()
    sandbox.clear_faults()
    before = len(created(sandbox))
    assert 0 < before < ROWS

    with served(sandbox, tmp_path) as (client, process, _):
        (left,) = answer(client.get("/runs"))
        assert (left["run"], left["state"], left["reason"]) == (run, "open", "ticket 4711")
        assert left["succeeded"] == before, "what was in flight at the end is recorded"
        *_, (kind, end) = told(client, run)  # attached, it is only watched
        assert (kind, end) == ("end", {"phase": "watching", "left": ROWS - before})
        assert len(created(sandbox)) == before
        assert answer(client.post(f"/runs/{run}/resume"), 202) == {"run": run}
        assert next(told(client, run))[0] == "row", "the browser leaves then, and the run goes on"
        events = list(told(client, run))
        assert events.pop() == ("end", {"phase": "done", "left": 0})
        assert sorted(event["row"] for _, event in events) == sorted(NAMES)
        again = answer(client.post("/sheets/spring.csv/runs"), 202)["run"]  # a second click
        assert list(told(client, again))[-1] == ("end", {"phase": "done", "left": 0})
    assert len(created(sandbox)) == len(set(created(sandbox))) == ROWS
    assert sandbox.duplicates() == []


# The status, and how a web page, a name that leads here, or a stranger calls it.
HOSTILE = [
    (400, {"Host": "evil.example:8000"}),
    (403, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}),
    (403, {"Origin": "null"}),
    (403, {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}),
    (403, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
    (401, {"Authorization": f"Bearer {TOKEN}x"}),
    (401, {"Authorization": f"Bearer {TOKEN[:-1]}"}),
    (401, {"Authorization": "Bearer tökén".encode()}),
    (401, {"Authorization": f"Basic {TOKEN}"}),
]


def test_a_service_lets_nobody_in_but_who_knows_the_token_and_says_what_is_wrong(sandbox, tmp_path):
    with served(sandbox, tmp_path) as (client, _, log):
        answer(client.put("/sheets/spring.csv", content=SHEET), 201)
        data = tmp_path / "data"
        for status, headers in HOSTILE:
            for method, path in (("PUT", "/sheets/autumn.csv"), ("POST", "/sheets/spring.csv/runs"), ("GET", "/runs")):
                refused = client.request(method, path, content=SHEET, headers=headers)
                assert refused.status_code == status, (headers, method)
        assert client.options("/runs", headers={"Origin": "https://evil.example"}).status_code == 403, "no preflight"
        assert httpx.get(client.base_url.join("/runs"), params={"token": TOKEN}).status_code == 401
        large = b"x" * (10 * 2**20 + 1)
        assert client.put("/sheets/large.csv", content=large).status_code == 413
        assert client.put("/sheets/large.csv", content=iter([large])).status_code == 413
        assert created(sandbox) == []
        assert answer(client.get("/runs")) == []
        assert [each.name for each in (data / "sheets").iterdir()] == ["spring.csv"]
        assert {oct(each.stat().st_mode & 0o777) for each in data.rglob("*") if each.is_file()} == {"0o600"}
        assert {oct(each.stat().st_mode & 0o777) for each in (data, data / "sheets")} == {"0o700"}
        own = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        assert answer(client.get("/runs", headers=own)) == []
        assert TOKEN not in log.read_text()
        assert answer(client.get("/runs/run_0000000000/events"), 404)["error"] == "RunNotFound"
        assert "accounts" in answer(client.put("/sheets/spring.csv", content="row_id,content\na,b\n"), 422)["detail"]
        assert answer(client.get("/sheets/autumn.csv/plan"), 422)["error"] == "PlanError"
        assert answer(client.put("/sheets/..%5Cspring.csv", content=SHEET), 422)["error"] == "PlanError"
        found = answer(client.put("/sheets/spring.csv", content=SHEET.replace("Cup r3 of the day", "")), 201)[
            "findings"
        ]
        assert [finding["row_id"] for finding in found] == ["r3"]


def test_a_service_without_a_token_does_not_start(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.whole.test_run_a_service.TOKEN", "short")
    with pytest.raises(AssertionError, match="set SERVICE_TOKEN to 32 characters or more"), served(sandbox, tmp_path):
        pass
