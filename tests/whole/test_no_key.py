"""No part of the API key anywhere: outputs (which a notebook saves), reprs, vars, pickles, tracebacks, logs, ledger, reports.

A marked key goes through everything in a real kernel; then every message and every file is searched for any eight characters of
its secret part.
"""

from __future__ import annotations

import json

import pytest
from tests.kernel import Cell, Kernel
from tests.security.leaks import KEY, pieces

from voxburst_sandbox import Fault, Sandbox, gates

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(900)]

CELLS = [
    "%xmode Verbose\nimport copy, logging, os, pickle, sys\nlogging.basicConfig(level=logging.DEBUG, filename='debug.log')",
    "import voxops as vx\nws = vx.connect(url=URL, ledger='ledger.sqlite')\nws",
    "posts = ws.posts(status=['failed', 'partial'])\ntriaged = vx.triage(vx.targets(posts))\nplan = vx.plan_retry(triaged)\ndisplay(posts, triaged, plan)",
    "run = ws.run(plan, reason='a test of the key')\nrun",
    "run.wait(60)\ndisplay(run.results(), run.failed(), ws.runs(), ws.ledger(), ws.accounts(), ws.webhooks())",
    "ws.panel(triaged)",
    "panel = ws.panel(ws.deliveries(since='7D'))\npanel",
    "await ws.aio.deliveries(since='7D')",
    "vx.report(triaged, run=run).to_html('report.html')\nvx.report(triaged, run=run)",
    """
def walk(thing, seen, depth):
    if id(thing) in seen or depth > 8:
        return
    seen.add(id(thing))
    yield repr(thing)[:20000]
    inside = list(getattr(thing, '__dict__', {}).values()) if type(thing).__module__.partition('.')[0] in {'voxops', 'httpx', 'httpcore'} else []
    slots = [getattr(thing, name, None) for kind in type(thing).__mro__ for name in getattr(kind, '__slots__', ()) if isinstance(name, str)]
    if isinstance(thing, dict): inside += [*thing.keys(), *thing.values()]
    if isinstance(thing, (list, tuple, set, frozenset)): inside += list(thing)
    for inner in [*inside, *slots]:
        yield from walk(inner, seen, depth + 1)
seen = set()
texts = [text for thing in (ws, run, panel, plan) for text in walk(thing, seen, 0)]
print(len(texts), '\\n'.join(texts))
""",
    "for thing in (ws, ws.client, run, panel):\n    for way in (pickle.dumps, copy.deepcopy):\n        try:\n            print(repr(way(thing))[:2000])\n        except Exception as error:\n            print(type(error).__name__, error)",
    "print(repr(vars(ws)), repr(vars(ws.client)), dir(ws.client))",
    # Tracebacks in the most talkative of modes: one cell each, as an error ends it.
    "ws._session.client.url\nvx.connect(url='http://127.0.0.1:9', max_wait='1s')",
    "vx.connect(url='ftp://nowhere')",
    "vx.connect(url='http://elsewhere.example')",
    "import asyncio\nfrom voxops._support import eventloop\neventloop.run(ws.client.posts.get('post_nope'))",
    "await ws.client.request('GET', '/v1/nothing')",
    "ws.posts(since='yesterday, perhaps')",
    """
from traceback import TracebackException
for act in (lambda: vx.connect(url='http://127.0.0.1:9', max_wait='1s'), lambda: eventloop.run(ws.client.posts.get('post_nope'))):
    try:
        act()
    except vx.VoxopsError as error:
        print(*TracebackException.from_exception(error, capture_locals=True).format())
""",
    """
def refused():
    try:
        ws.accounts()
    except vx.VoxopsError as error:
        print(repr(error), vars(error), error.__cause__, error.__context__)
        raise
refused()
""",
    "ws.close()\nprint('closed')",
]


@pytest.fixture
def api(monkeypatch):
    """A sandbox that knows the marked key, and at last refuses it."""
    monkeypatch.setitem(gates.KEYS, KEY, True)
    with Sandbox(seed=7, speed=60, rate_limit=None, posts=120, deliveries=200) as sandbox:
        yield sandbox


def test_no_key_anywhere(api, tmp_path):
    codes = [cell.replace("URL", repr(api.url)) for cell in CELLS]
    with Kernel(tmp_path, VOXBURST_API_KEY=KEY) as kernel:
        done: list[Cell] = []
        for code in codes:
            if "refused()" in code:
                api.add_fault(Fault("status", path="/v1/accounts", status=401, code="INVALID_API_KEY", times=None))
            done += kernel.run(code, patience=300)
        shown = kernel.everything
    failed = {cell.code.strip().splitlines()[-1]: cell.error for cell in done if cell.error}
    assert failed == {
        "vx.connect(url='http://127.0.0.1:9', max_wait='1s')": "TransportError",
        "vx.connect(url='ftp://nowhere')": "ConfigError",
        "vx.connect(url='http://elsewhere.example')": "ConfigError",
        "eventloop.run(ws.client.posts.get('post_nope'))": "NotFoundError",
        "await ws.client.request('GET', '/v1/nothing')": "NotFoundError",
        "ws.posts(since='yesterday, perhaps')": "ConfigError",
        "refused()": "AuthError",
    }
    assert "connect(" in done[12].traceback
    assert "self = <" in next(cell.text for cell in done if "capture_locals" in cell.code)
    assert done[-1].text.strip().endswith("closed")

    assert {request["api_key"] for request in api.requests()} == {KEY}, "another key was used"
    for message in shown:
        assert pieces(json.dumps(message, default=str, ensure_ascii=False)) == [], message["msg_type"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"debug.log", "ledger.sqlite", "report.html"} <= {path.name for path in files}
    assert (tmp_path / "debug.log").stat().st_size > 1000
    for path in files:
        assert pieces(path.read_bytes().decode("utf-8", "replace")) == [], path.name
