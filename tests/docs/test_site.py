"""The site as a reader has it: built with warnings as errors, whole without a network, uncut at any width, and found by its search."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright
from tests.browser import CHROMIUM, IN_CHROMIUM, serious
from tests.browser.server import FLAGS

pytestmark = pytest.mark.timeout(900)  # the first test builds the site: half a minute on an idle machine
DOCS = Path(__file__).parents[2] / "docs"
TASKS = {
    "campaign": ("upload a content calendar", "schedule many posts from csv", "validate a campaign sheet"),
    "retry": ("retry failed posts", "send failed posts again", "post failed what now"),
    "mend-in-excel": ("fix rows in excel", "correct failed rows in a spreadsheet", "edit xlsx and read it again"),
    "reschedule": ("reschedule posts", "move posts to another time", "change scheduled time"),
    "withdraw": ("cancel scheduled posts", "undo a run", "delete posts of a campaign"),
    "sync": ("sync campaign with sheet", "update posts when the sheet changes", "keep campaign equal to spreadsheet"),
    "two-people": ("two people same campaign", "colleague runs the same notebook", "work together on a campaign"),
    "lost-laptop": ("laptop lost", "resume after crash", "kernel died"),
    "duplicates": ("find duplicate posts", "posted twice", "remove duplicates"),
    "share-a-report": ("send report to manager", "export html report", "share results by mail"),
    "deliveries": ("webhook failed", "missing webhook events", "receiver was down"),
    "cron": ("cron", "run every morning", "schedule on a server"),
    "airflow": ("airflow dag", "airflow retry task", "run in airflow"),
    "service": ("fastapi", "async web service", "asyncio server"),
    "proxy": ("proxy", "company certificate", "behind a firewall"),
    "long-history": ("webhook history", "many webhook deliveries", "store deliveries on disk"),
    "recipes": ("find free time slots", "utm parameters on links", "compare two mornings"),
    "past-one-machine": ("spark", "dask cluster", "too big for one machine"),
}
CUT = """() => [...document.querySelectorAll("pre, h1, h2, h3, p, dt, .sig")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== "inline")
  .map((each) => each.textContent.trim().slice(0, 80))"""
HITS = """(query) => {
  history.replaceState(null, "", `?q=${encodeURIComponent(query)}`);
  return Search._performSearch(...Search._parseQuery(query)).reverse();
}"""
WIDER = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Each page that runs has run, and a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "4", str(DOCS), str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert built.returncode == 0, built.stderr[-6000:]
    return folder


def pages(site: Path) -> list[str]:
    return sorted(str(path.relative_to(site)) for path in site.rglob("*.html") if "_static" not in path.parts)


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """A page whose requests to other machines are refused, and fail the test."""
    strangers = []

    def answer(route: Route) -> None:
        if route.request.url.startswith(server):
            return route.continue_()
        strangers.append(route.request.url)
        return route.abort()

    context = browser.new_context(base_url=server)
    context.route("**/*", answer)
    page = context.new_page()
    page.on("pageerror", lambda error: strangers.append(str(error)))
    yield page
    context.close()
    assert strangers == []


def test_each_task_has_a_page_and_each_page_of_a_task_is_asked_for():
    assert {path.stem for path in (DOCS / "how-to").glob("*.md")} == {*TASKS, "index"}


def test_every_page_is_reached_from_the_navigation(site):
    shown = (site / "index.html").read_text("utf-8")
    missing = [name for name in pages(site) if f'"{name}"' not in shown]
    assert set(missing) <= {"index.html", "search.html", "genindex.html", "py-modindex.html"}


class TestInChromium:
    pytestmark = IN_CHROMIUM

    def test_the_search_has_the_page_of_a_task_among_its_first_three_hits(self, page):
        page.goto("/search.html?q=retry+failed+posts")
        page.wait_for_selector("#search-results li a")
        shown = page.locator("#search-results li > a").evaluate_all("(links) => links.map((link) => link.pathname)")
        assert "/how-to/retry.html" in shown[:3]

        def ask(query: str) -> list[str]:
            return [hit[0] for hit in page.evaluate(HITS, query)[:3]]

        assert ask("retry failed posts") == [path.removeprefix("/").removesuffix(".html") for path in shown[:3]]
        asked = [(task, query) for task, queries in TASKS.items() for query in queries]
        missed = {query: found for task, query in asked if f"how-to/{task}" not in (found := ask(query))}
        assert missed == {}
        assert "tutorial" in ask("207"), "a status is a word of the search"
        assert "reference/words" in ask("glossary")

    @pytest.mark.parametrize(
        ("name", "on"),
        [
            ("time_without_offset", "reasons"),
            ("subject_unknown", "reasons"),
            ("retryable", "columns"),
            ("ledger", "words"),
        ],
    )
    def test_the_search_leads_to_the_row_of_a_code_column_or_word(self, page, name, on):
        page.goto("/search.html?q=row")
        page.wait_for_selector("#search-results li a")
        docname, _, anchor, *_ = page.evaluate(HITS, name)[0]
        assert docname.endswith(f"/{on}")
        page.goto(f"/{docname}.html{anchor}")
        assert page.locator(f"{anchor} td").first.inner_text() == name

    @pytest.mark.parametrize("width", [1366, 800, 400])
    def test_no_code_heading_or_text_is_cut_at_the_edge(self, page, site, width):
        page.set_viewport_size({"width": width, "height": 900})
        cut = {}
        for name in pages(site):
            page.goto(f"/{name}")
            if found := [*page.evaluate(CUT), *(["the page"] if page.evaluate(WIDER) else [])]:
                cut[name] = found[:3]
        assert cut == {}

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_pages_can_be_read_by_anybody(self, page, site, scheme):
        """Contrast, labels and structure by axe, of one page of each kind."""
        page.emulate_media(color_scheme=scheme)
        faults = {}
        for name in (
                "index.html", "tutorial.html", "how-to/retry.html", "how-to/deliveries.html", "explanation/exactly-once.html",
                "reference/generated/names-plan.html", "reference/generated/reasons.html",
            ):  # fmt: skip
            page.goto(f"/{name}")
            if found := serious(page.locator("article"), "article"):
                faults[name] = found
        assert faults == {}
