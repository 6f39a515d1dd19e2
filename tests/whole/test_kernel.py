"""In a real Jupyter kernel: Run All loses no cell, an interrupt stops the sending."""

from __future__ import annotations

import re
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.kernel import Kernel, ipykernel_6
from tests.virtual import until as wait_for

from voxburst_sandbox import Fault, Sandbox

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]
RELEASE = pytest.mark.release

BUILD = Path(__file__).parents[2] / "build"
# Ten at once: so long a run can be interrupted.
SLOW = Fault("delay", method="POST", path="/v1/posts/*/**", seconds=4, times=None)


@pytest.fixture
def api():
    """The API in this process, so that it outlives the kernel and its log can be read here."""
    with Sandbox(seed=7, speed=20, rate_limit=None, posts=300, deliveries=300) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One kernel for the tests that leave nothing behind in it."""
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


def connect(api: Sandbox, ledger: Path) -> str:
    """The notebook cell that connects to the test's sandbox."""
    return f"import asyncio, time\nimport voxops as vx\nws = vx.connect('{api.api_key}', url='{api.url}', ledger='{ledger}')"


PLAN = "plan = vx.plan_retry(vx.triage(vx.targets(ws.posts(status=['failed', 'partial']))))"
COUNTS = "print(run.results()['outcome'].value_counts().to_dict())"
OPEN = "print(run.results().query('outcome == \"pending\" or outcome == \"unknown\"')[['outcome', 'waiting_for', 'tries', 'http_status']].values.tolist())"


def acting(api: Sandbox) -> int:
    """How many acting requests the server has seen."""
    return len(api.requests(acting=True))


def assert_once(api: Sandbox) -> None:
    """There are no duplicate effects and no duplicate requests."""
    assert api.duplicates() == []
    assert set(Counter(request["key"] for request in api.requests(acting=True)).values()) <= {1}


NEST = "import nest_asyncio; nest_asyncio.apply()"


@pytest.mark.parametrize(
    ("kernel", "before", "after"),
    [
        pytest.param(7, "pass", "pass", id="ipykernel 7"),
        pytest.param(7, NEST, "pass", id="ipykernel 7, nest_asyncio applied before", marks=RELEASE),
        pytest.param(7, "pass", NEST, id="ipykernel 7, nest_asyncio applied after", marks=RELEASE),
        pytest.param(6, "pass", "pass", id="ipykernel 6", marks=RELEASE),
        pytest.param(6, "pass", NEST, id="ipykernel 6, nest_asyncio applied after", marks=RELEASE),
    ],
)
def test_run_all_runs_all(kernel, before, after, api, tmp_path):
    cells = [
        f"{before}\n{connect(api, tmp_path / 'ledger')}\nimport ipykernel\nprint(ipykernel.version_info[0])",
        "posts = ws.posts(status=['failed', 'partial'])\nprint(len(posts))",
        f"{after}\nawaited = await ws.aio.posts(status=['failed', 'partial'])\nprint(len(awaited))",
        PLAN,
        "run = ws.run(plan, reason='run all')\nrun",
        "run.wait(240)\nprint(run.snapshot.phase)",
        "await asyncio.sleep(0.05)\nawait run\nprint(run.running)",
        COUNTS,
    ]
    with Kernel(tmp_path, path=ipykernel_6(BUILD) if kernel == 6 else None) as driven:
        done = driven.run(*cells)
    assert [cell.status for cell in done] == ["ok"] * 8, "\n".join(cell.traceback for cell in done)
    assert [cell.answered_at for cell in done] == sorted(cell.answered_at for cell in done)
    texts = [cell.text.strip() for cell in done]
    assert texts[0] == str(kernel)
    assert texts[1] == texts[2]
    assert texts[5:7] == ["done", "False"]
    outcomes = eval(texts[7])  # a dict that our own cell printed
    assert set(outcomes) <= {"succeeded", "failed"}
    assert outcomes["succeeded"] > 10
    assert any(
        "run_" in bundle.get("text/html", "") and " done (" in bundle["text/plain"] for bundle in done[4].bundles
    )
    assert_once(api)


@pytest.mark.release
def test_a_kernel_that_loses_cells_is_noticed(tmp_path):
    """The measurement behind the private loop, and the proof that the test above can fail."""
    block = "import asyncio\nasyncio.get_event_loop().run_until_complete(asyncio.sleep(0.3))"
    with Kernel(tmp_path) as kernel:
        done = kernel.run(NEST, block, *["1"] * 6, patience=6)
    assert [cell.status for cell in done].count(None) >= 1


# Notes when the cell `ended`. There will be a sign as soon as it waits for the run: the kernel ignores an interrupt between two cells,
# and one that comes before the waiting is none of the run.
WAITING = """
import pathlib, threading
def tell(before=len(run._future._done_callbacks)):
    while len(run._future._done_callbacks) == before:
        time.sleep(0.01)
    pathlib.Path({sign!r}).touch()
threading.Thread(target=tell, daemon=True).start()
try:
{code}
finally:
    ended = time.monotonic()
"""


@pytest.mark.parametrize(
    ("blocked", "error"),
    [
        pytest.param("run.wait()", "Interrupted", id="sync helper"),
        pytest.param("await asyncio.sleep(0)\nrun.wait()", "Interrupted", id="async cell in a helper", marks=RELEASE),
        pytest.param("await run", "KeyboardInterrupt CancelledError", id="awaited", marks=RELEASE),
    ],
)
def test_an_interrupt_pauses_the_run(shared, api, tmp_path, blocked, error):
    api.add_fault(SLOW)
    shared.do(connect(api, tmp_path / "ledger"))
    planned = int(shared.do(f"{PLAN}\nprint(plan.cost.acts)"))
    shared.do("run = ws.run(plan, reason='to be interrupted')")
    begun = tmp_path / "begun"
    cells = shared.queue([WAITING.format(sign=str(begun), code=textwrap.indent(blocked, "    "))])
    wait_for(begun.exists)
    wait_for(lambda: acting(api) >= 3)
    began = time.monotonic()
    shared.manager.interrupt_kernel()
    shared.collect(cells)
    assert cells[0].error in error.split()
    if "wait()" in blocked:  # what a person at the stop button reads last
        said = re.sub(r"\x1b\[[\d;]*m", "", cells[0].traceback)
        assert re.search(r"run_\w+ is paused, .*; ws\.attach\('run_\w+'\)\.resume\(\) goes on\s*$", said)
        assert ".py" not in said, "none of our own code"
    assert float(shared.do("print(ended)")) - began < 7  # requests in flight take 4 seconds, the rest 4 more

    wait_for(lambda: shared.do("print(run.snapshot.phase)") == "paused")
    shared.do("run.pause()")  # returns when what is in flight is recorded
    sent = acting(api)
    assert 3 <= sent < planned
    shared.listen(1.5)
    assert acting(api) == sent, "a request was sent after the interrupt"
    api.clear_faults()
    # The sandbox's minutes are seconds here, so a busy machine reads again and again before it may send: nothing hangs on how long.
    shared.do("run.resume().wait(240)")
    assert shared.do(OPEN) == "[]"
    assert acting(api) == planned
    assert_once(api)
    shared.do("ws.close()")
