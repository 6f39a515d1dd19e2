"""What the README claims: its code runs, and each of its sentences names the test that shows it.

`CLAIMS` covers every word of prose and of the comments in code: a new sentence, or a new clause of an old one, fails until it has a row.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pandas as pd
import pytest
from tests.kernel import Kernel

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxburst_sandbox.app import ROUTES
from voxops.api.endpoints import ENDPOINTS
from voxops.cli import main

TESTS = Path(__file__).parents[1]
HOME = TESTS.parent
README = (HOME / "README.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [code for language, code in FENCE.findall(README) if language == "python"]
COMMANDS = [line for language, code in FENCE.findall(README) if not language for line in code.splitlines()]

HERE = "docs/test_readme.py::"
BLOCKS_RUN = f"{HERE}test_the_blocks_run_in_order_and_what_sends_again_posts_nothing_twice"
MAKE = f"{HERE}test_make_has_the_targets"
PAGES = "docs/test_links.py::test_links_inside_the_repository_lead_somewhere"

# Words of the README as a reader sees them -> the test that shows them.
CLAIMS = {
    # what it is for
    "Run social campaigns on the VoxBurst API from a notebook. Load posts, webhook deliveries and bulk results into DataFrames": BLOCKS_RUN,
    "see what failed and why, retry what can be retried, and watch it to the end": BLOCKS_RUN,
    "Re-running any cell, Run All, the whole notebook": "whole/test_notebooks.py::test_a_campaign_that_is_run_top_to_bottom_a_second_time_creates_nothing",
    "after any crash, never posts twice and never loses an item": "engine/test_chaos.py::test_nothing_happens_twice_and_nothing_is_lost",
    "You need pandas but no asyncio: calls are plain functions": f"{HERE}test_calls_are_plain_functions",
    "queued cells keep their order": "whole/test_kernel.py::test_run_all_runs_all",
    # a minute
    "With Python 3.11 or newer and make": f"{HERE}test_the_python_that_it_names_is_the_one_that_is_required",
    "the main job in a terminal, against the API on this machine: no key, no network": "whole/test_cli.py::test_the_demo_needs_no_key_and_reaches_this_machine_alone",
    "JupyterLab with the notebooks": MAKE,
    "Or run `pip install .` in your own environment": f"{HERE}test_the_python_that_it_names_is_the_one_that_is_required",
    "then these four lines": f"{HERE}test_the_first_frame_takes_four_lines",
    "one row per post and platform": f"{HERE}test_the_first_frame_takes_four_lines",
    "what matters in any frame": "views/test_view.py::test_every_kind_of_frame_is_recognised_named_and_explained",
    "one line per row": "views/test_view.py::test_each_row_is_one_line_and_what_is_cut_opens",
    "The sandbox is the API over real HTTP on your own machine, with every endpoint that voxops calls": f"{HERE}test_the_sandbox_serves_every_endpoint_that_voxops_calls",
    "In its seeded campaign, some posts failed for temporary reasons, others for lasting ones": f"{HERE}test_the_first_frame_takes_four_lines",
    "Everything below works in it": BLOCKS_RUN,
    "For your own workspace, set `VOXBURST_API_KEY` and leave out `sandbox=True`": f"{HERE}test_a_workspace_is_named_by_its_key_alone",
    # job one
    "grouped: how many posts and accounts, first and last seen, an example": f"{HERE}test_frames_have_what_the_comments_name",
    "sends nothing": f"{HERE}test_plans_and_checks_send_and_create_nothing",
    "what would be sent, what it costs, why the rest would not": f"{HERE}test_frames_have_what_the_comments_name",
    "returns at once": f"{HERE}test_run_returns_before_anything_is_answered",
    "the cell shows the run live": "whole/test_kernel.py::test_the_monitor_keeps_moving",
    "one row per planned row: succeeded, failed, pending, unknown or blocked": "ledger/test_audit.py::test_rule_14_the_five_outcomes_sum_to_the_rows_of_a_run",
    "who must act, and the evidence": "views/test_report.py::test_the_first_screen_is_a_sentence_five_numbers_who_must_act_and_one_figure_and_the_rest_is_folded",
    "in one file that needs no network": "views/test_report.py::test_the_file_needs_nothing_but_itself_and_its_figures_take_the_ink_of_the_page",
    "one text for each person, one for support": "views/test_people.py::test_each_person_has_a_ticket_and_support_another",
    "`run.pause()`": "engine/test_senders.py::test_rule_16_a_paused_run_sends_nothing_more_and_attaching_sends_nothing",
    "the stop button stop sending": "whole/test_kernel.py::test_an_interrupt_pauses_the_run",
    "After a crash, in a new kernel, `ws.attach(ws.runs().index[0])` picks up the newest run of your workspace": "whole/test_kernel.py::test_a_run_goes_on_after_a_restart",
    "it reads and watches, and only `run.resume()` sends what was never sent": "engine/test_senders.py::test_rule_16_a_paused_run_sends_nothing_more_and_attaching_sends_nothing",
    "The embedded sandbox ends with its kernel": f"{HERE}test_the_embedded_sandbox_ends_with_its_kernel",
    "`ws.panel(triaged)` does the same job by clicking": "views/test_panels.py::test_from_plan_to_before_and_after",
    "prints the code for what you clicked": "views/test_panels.py::test_the_code_of_a_choice_keeps_the_same_rows",
    "In detail: retry what failed, share a report": PAGES,
    # job two
    '"../data/campaign.csv" in a notebook of make lab': f"{HERE}test_the_sheet_is_where_the_notebooks_find_it",
    "equal rows once": BLOCKS_RUN,
    "or a workbook": "whole/test_messy_sheet.py::test_from_a_file_to_created_posts",
    "what is known to fail, cell by cell": "whole/test_check.py::test_of_a_thousand_rows_none_is_called_right_that_fails_and_none_wrong_that_would_be_created",
    "creates nothing": f"{HERE}test_plans_and_checks_send_and_create_nothing",
    "each row with its own outcome: a 207 is read item by item": "engine/test_answers.py::test_rule_12_items_are_read_by_index_and_unreadable_ones_are_unknown",
    "what failed, as a new attempt, and what was never sent, each with its reason first": f"{HERE}test_what_is_to_mend_comes_with_its_reason_first",
    "here, an account that has expired": BLOCKS_RUN,
    "A row is created once for each campaign name, from any notebook, on any laptop. Every created post has a mark, and a ledger that doesn't know a campaign looks for these marks first": "promise/test_lost_ledger.py::test_rule_10_a_ledger_that_was_lost_finds_its_creates_by_their_mark",
    "In detail: plan a campaign, mend rows in Excel, follow a sheet that changes, reschedule, withdraw, work as two people": PAGES,
    # job three
    "success rate, attempts, exact p50, p95 and p99 latency": "analysis/test_deliveries.py::test_quantiles_are_nearest_ranks_of_the_sorted_latencies",
    "periods in which a receiver was down": "analysis/test_deliveries.py::test_an_outage_is_found_with_its_edges_and_its_symptom",
    "what was lost, and why; a rejected one would be rejected again": "analysis/test_deliveries.py::test_lost_deliveries_are_what_redelivery_is_for",
    "In detail: examine deliveries": PAGES,
    "`ws.panel(log)` shows the log as a panel, where you pick a webhook and a time window": "views/test_panels.py::test_a_webhook_and_a_window_are_picked_and_the_page_says_what_is_read",
    "A long history is kept on disk, where a second sync reads only what is new and what is still open": "archive/test_archive.py::test_a_second_sync_reads_the_head_and_what_is_open_and_writes_nothing",
    "Beyond one machine, Dask workers give the same statistics to the last digit": "analysis/test_cluster.py::test_files_on_two_workers_give_the_same_digits",
    # the promise, below its table
    "What each line means for you: the promise. All conditions and rules: exactly once": PAGES,
    "A key identifies what is requested, for which failure or row, and in which deliberate attempt": f"{HERE}test_a_key_names_what_is_requested_for_which_row_and_attempt",
    "Key and bytes are on disk before the bytes leave": "power/test_power.py::test_what_was_sent_and_said_is_on_disk_whenever_the_power_fails",
    "The same failure gives the same key on any machine": "acts/test_golden_keys.py::test_golden_keys_never_change",
    "a deliberate second attempt gives a new one": "whole/test_workspace.py::test_what_fails_again_can_be_retried_again_under_a_new_key",
    "A 2xx of an asynchronous call is not an outcome: a run watches until the post has moved and its status is terminal": "acts/test_settling.py::test_targets_settle_when_the_whole_post_has_ended",
    "If no usable answer comes, voxops reads before it sends again": "promise/test_lagging_lists.py::test_rule_09_a_500_in_the_middle_of_a_batch_creates_no_row_twice",
    "An outcome that can't be proved stays `unknown`": "promise/test_forgetful_server.py::test_rule_09_past_the_retention_nothing_is_resent_that_is_not_proved_absent",
    "The API key appears in no output, repr, traceback, ledger or report": "whole/test_no_key.py::test_no_key_anywhere",
    "is sent only to the API's own host": "client/test_client.py::test_the_key_stays_with_its_host_when_redirected",
    # commands
    "exit code 3 if something needs a person": f"{HERE}test_the_exit_code_of_triage_is_3_if_something_needs_a_person",
    "what is new, worse or gone, whose it is, and the next command": "whole/test_jobs.py::test_a_digest_is_ten_lines_of_what_is_new_whose_it_is_and_what_comes_next",
    "Every command takes `--json`": "whole/test_jobs.py::test_every_command_prints_json",
    "there are recipes for cron and Airflow": PAGES,
    "In scripts and services, every method of a workspace and a run has an async twin: `await ws.aio.posts(...)`, `await run.aio.results()`": "whole/test_awaits.py::test_every_method_has_a_coroutine_as_its_twin",
    "`await run` waits for a run": "whole/test_awaits.py::test_tasks_groups_and_background_tasks_take_the_methods",
    # where to read on, and developing
    "One Monday: a tutorial, from install to report": PAGES,
    "How to: a page for each task. Reference: names, columns, reason codes, errors, commands": PAGES,
    "Explanation: the promise, the rules, what is known about the API, security, architecture, decisions": PAGES,
    "`make docs` builds these pages as a site, in `build/docs`": MAKE,
    "what a change must pass; make proof is for a release": MAKE,
    "ruff, mypy strict": MAKE,
    "CONTRIBUTING.md says where a change belongs, CHANGELOG.md what has changed": PAGES,
}
PROMISE = {
    "one ledger": "test_one_ledger.py",
    "a lost or rolled-back ledger": "test_lost_ledger.py",
    "two laptops at the same moment, the same rows": "test_two_laptops_same_rows.py",
    "two laptops at the same moment, overlapping sheets": "test_two_laptops_overlapping_sheets.py",
    "two laptops that clean up duplicates": "test_two_laptops_cleaning_up.py",
    "lists that lag up to a minute": "test_lagging_lists.py",
    "a server that forgets keys": "test_forgetful_server.py",
}
JOINING = {"and", "or", "but"}


# -- the table ---------------------------------------------------------------------------------------------------------


def statements(page: str = README) -> Iterator[str]:
    """Each paragraph, bullet and comment in code, as a reader sees it; not headings, pictures and the table."""
    for _, code in FENCE.findall(page):
        yield from re.findall(r"(?:^|\s)# (.*)", code)
    prose = re.sub(r"^(#|\||!\[).*$", "", FENCE.sub("", page), flags=re.MULTILINE)
    prose = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", prose).replace("**", "")
    for paragraph in re.split(r"\n\s*\n|^- ", prose, flags=re.MULTILINE):
        if said := " ".join(paragraph.split()):
            yield said


def uncovered(said: str) -> list[str]:
    """The words of a statement that no row of the table quotes."""
    covered: set[int] = set()
    for words in CLAIMS:
        for found in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", said):
            covered |= set(range(*found.span()))
    return [word[0] for word in re.finditer(r"\w+", said) if word.start() not in covered and word[0] not in JOINING]


def test_every_sentence_has_a_row():
    left = {said: words for said in statements() if (words := uncovered(said))}
    assert left == {}


def test_a_sentence_without_a_row_is_noticed():
    """In a paragraph, in a bullet, in a comment, and as a clause of a sentence that has one."""
    for old, new in (
        ("\n## Job one", "\nIt never sleeps.\n\n## Job one"),
        ("stays `unknown`.", "stays `unknown`. It is also free."),
        ("# sends nothing:", "# sends nothing, ever:"),
        ("keep their order.", "keep their order, and run twice as fast."),
    ):
        changed = README.replace(old, new, 1)
        assert changed != README, old
        assert [said for said in statements(changed) if uncovered(said)] != [], new


@pytest.mark.parametrize("words", CLAIMS, ids=lambda words: words[:40])
def test_what_a_row_quotes_is_there_once_and_its_test_exists(words):
    found = [said for said in statements() if re.search(rf"(?<!\w){re.escape(words)}(?!\w)", said)]
    assert len(found) == 1
    file, _, name = CLAIMS[words].partition("::")
    assert name in found_in(TESTS / file)


@cache
def found_in(file: Path) -> frozenset[str]:
    """The names of a file's tests that each change must pass."""
    tree = ast.parse(file.read_text("utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(ast.unparse(mark) == "pytest.mark.release" for mark in node.decorator_list)
    )


def test_each_line_of_the_promise_has_a_file_of_tests():
    lines = re.findall(r"^\| (?!situation)([^|]+?) \|", README, re.MULTILINE)
    assert len(lines) == len(PROMISE)
    for line, (begin, file) in zip(lines, PROMISE.items(), strict=True):
        assert line.startswith(begin)
        assert found_in(TESTS / "promise" / file)


def test_it_is_short():
    assert len(README.splitlines()) <= 120


# -- its code ----------------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.timeout(900)
def test_the_blocks_run_in_order_and_what_sends_again_posts_nothing_twice(tmp_path):
    """Queued all at once, as Run All does, and what sends posts a second time; counted at the server."""
    assert len(BLOCKS) == 4
    acts = [each for block in BLOCKS[1:3] for each in map(ast.unparse, ast.parse(block).body) if "ws.run(" in each]
    shutil.copytree(HOME / "data", tmp_path / "data")
    counted = (
        "print(len(ws.sandbox.duplicates()), *(len(ws.sandbox.effects(kind)) for kind in ('post.create', 'post.retry', 'target.fix')),"
        " (run.results()['outcome'] == 'succeeded').sum(), (mend['accounts'] == 'facebook:@aldercoffee').sum())"
    )
    ended = "for name in ws.runs().index:\n    ws.attach(name).wait(200)\n"
    with Kernel(tmp_path) as kernel:
        cells = kernel.run(*BLOCKS, patience=400)
        for cell in cells:
            assert cell.status == "ok", f"{cell.status or 'lost'}: {cell.code}\n{cell.traceback or cell.text}"
            assert cell.bundles or cell.text, f"nothing is shown: {cell.code}"
        assert [cell.answered_at for cell in cells] == sorted(cell.answered_at for cell in cells)
        assert "TOKEN_EXPIRED" in str(cells[0].bundles)
        duplicates, creates, retries, fixes, succeeded, mended = map(int, kernel.do(f"{ended}\n{counted}").split())
        assert duplicates == 0
        assert retries + fixes > 20
        assert mended > 0
        assert succeeded == creates, "with those that were mended, each once"
        assert creates == int(kernel.do("print(len(ws.posts(campaign='spring 2026')))"))
        again = kernel.run(*acts, patience=400)
        assert [cell.status for cell in again] == ["ok"] * 3, "\n".join(cell.traceback for cell in again)
        assert list(map(int, kernel.do(f"{ended}\n{counted}").split()))[:4] == [0, creates, retries, fixes]
    assert "<svg" in (tmp_path / "triage.html").read_text("utf-8")


@pytest.fixture
def ws(sandbox):
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin", owner_field="owner") as workspace:
        yield workspace


def failures(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(ws.posts(status=["failed", "partial"]))


def test_the_first_frame_takes_four_lines(ws):
    assert len(ast.parse(BLOCKS[0]).body) == 4
    posts = ws.posts(status=["failed", "partial"], since="7D")
    triaged = vx.triage(posts)
    assert len(triaged) == posts["targets"].map(len).sum() > len(posts)
    assert not triaged.duplicated(["post_id", "platform", "account_id"]).any()
    assert {"retry", "reconnect account", "fix content", "fix media"} <= set(triaged["verdict"])


def test_frames_have_what_the_comments_name(ws):
    triaged = failures(ws)
    assert {"posts", "accounts", "first_seen", "last_seen", "example"} <= set(vx.causes(triaged).columns)
    plan = vx.plan_retry(triaged)
    assert plan.frame["eligible"].any()
    assert plan.frame.loc[~plan.frame["eligible"], "reason"].notna().all()
    assert plan.cost.acts > 0
    assert re.search(r"\d+ acting requests, .* minute", repr(plan))


def test_plans_and_checks_send_and_create_nothing(ws, sandbox):
    triaged, sheet = failures(ws), vx.read_campaign(HOME / "data" / "campaign.csv").drop_duplicates()
    log, before = ws.deliveries(since="30D"), len(sandbox.requests())
    vx.plan_retry(triaged)
    vx.plan_create(sheet, key="row_id", campaign="spring 2026")
    vx.plan_redeliver(vx.deliveries.lost(log))
    assert len(sandbox.requests()) == before
    assert len(ws.check(sheet)) > 0
    assert len(sandbox.requests()) > before
    assert not sandbox.effects()


def test_run_returns_before_anything_is_answered(ws, sandbox):
    plan = vx.plan_retry(failures(ws).query("verdict == 'retry'").head(4))
    sandbox.add_fault(Fault("delay", method="POST", path="/v1/posts/*/**", seconds=600, times=None))
    run = ws.run(plan)
    assert run.running
    assert set(run.results()["outcome"]) == {"pending"}
    sandbox.clear_faults()
    sandbox.set_speed(20)
    assert set(run.wait(60).results()["outcome"]) <= {"succeeded", "failed"}


def test_what_is_to_mend_comes_with_its_reason_first(ws):
    sheet = pd.DataFrame({
        "row_id": ["good", "failed", "blocked"], "content": "Hello", "scheduled_for": "2026-03-09T09:00:00+01:00",
        "accounts": ["twitter:@aldercoffee", "threads:@aldercoffee", "bluesky:@nobody"], "media": [None, "media_gone", None],
    })  # fmt: skip
    mend = ws.run(vx.plan_create(sheet, key="row_id", campaign="mend")).wait(60).to_mend()
    assert mend.columns[0] == "reason"
    assert dict(zip(mend["row_id"], mend["attempt"], strict=True)) == {"failed": 2, "blocked": 1}


def test_a_key_names_what_is_requested_for_which_row_and_attempt(ws):
    row = {
        "row_id": "r1",
        "content": "Hello",
        "accounts": "acc_1",
        "scheduled_for": "2027-03-01T10:00:00Z",
        "attempt": 1,
    }
    others = {
        "row_id": "r2",
        "content": "Bye",
        "accounts": "acc_2",
        "scheduled_for": "2027-03-01T11:00:00Z",
        "attempt": 2,
    }
    sheets = [row, row, *(row | {name: value} for name, value in others.items())]
    same, again, *changed = [
        keys(vx.plan_create(pd.DataFrame([each]), key="row_id", campaign="one")) for each in sheets
    ]
    assert same == again
    assert len({*same}.union(*changed)) == 1 + len(changed)
    triaged = failures(ws)
    first, second = keys(vx.plan_retry(triaged)), keys(vx.plan_retry(triaged.assign(attempt=2)))
    assert first == keys(vx.plan_retry(failures(ws)))
    assert len(first) == vx.plan_retry(triaged).cost.acts
    assert not first & second


def keys(plan: vx.Plan) -> set[str]:
    return set(plan.frame["idempotency_key"].dropna())


# -- what it says of the rest ------------------------------------------------------------------------------------------


def test_calls_are_plain_functions():
    calls = [getattr(vx, name) for name in vx.__all__ if name not in {"aconnect", "AsyncClient"}]
    calls += [
        method
        for kind in (vx.Workspace, vx.Run, vx.Plan)
        for name, method in vars(kind).items()
        if name[0] != "_" and name != "end"
    ]
    assert len(calls) > 40
    assert [call for call in calls if asyncio.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)] == []


def test_the_sandbox_serves_every_endpoint_that_voxops_calls(sandbox):
    assert sandbox.url.startswith("http://127.0.0.1:")
    served = {(route.method, re.sub(r"\{\w+\}", "*", route.path)) for route in ROUTES}
    called = {(row.call[0], re.sub(r":\w+", "*", row.call[1])) for row in ENDPOINTS}
    assert len(called) > 30
    assert called - served == set()


def test_a_workspace_is_named_by_its_key_alone(sandbox, monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    monkeypatch.setenv("VOXBURST_API_URL", sandbox.url)
    arguments = re.search(r"vx\.connect\((.*)\)", BLOCKS[0])
    assert arguments is not None
    named = ast.parse(f"f({arguments[1]})", mode="eval").body
    assert isinstance(named, ast.Call)
    rest = {each.arg: ast.literal_eval(each.value) for each in named.keywords}
    assert rest.pop("sandbox") is True
    with vx.connect(**rest) as ws:
        assert ws.id == sandbox.workspace_id


def test_the_embedded_sandbox_ends_with_its_kernel():
    with vx.connect(sandbox=True) as ws:
        assert ws.sandbox is not None
        url, ledger = ws.sandbox.url, ws._session.engine.ledger.path
        assert ledger.exists()
    assert not ledger.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_the_exit_code_of_triage_is_3_if_something_needs_a_person(sandbox, monkeypatch, tmp_path):
    (command,) = (line.partition("#")[0].split() for line in COMMANDS if line.startswith("voxops triage"))
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    monkeypatch.chdir(tmp_path)
    assert main([*command[1:], "--url", sandbox.url]) == 3
    assert (tmp_path / "triage.html").exists()
    with Sandbox(empty=True, speed=0) as empty:
        assert main([*command[1:], "--url", empty.url]) == 0


def test_make_has_the_targets():
    targets = set(re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"^make (\w+)|`make (\w+)`|; make (\w+)", README, re.MULTILINE))
    assert (
        {name for found in named for name in found if name}
        == {"demo", "lab", "test", "lint", "proof", "docs"}
        <= targets
    )


def test_the_python_that_it_names_is_the_one_that_is_required():
    import tomllib

    project = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert project["name"] == "voxops"


def test_the_sheet_is_where_the_notebooks_find_it():
    assert (HOME / "data" / "campaign.csv").exists()
    assert (HOME / "notebooks" / ".." / "data" / "campaign.csv").exists()
