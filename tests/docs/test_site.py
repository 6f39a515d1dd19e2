"""The site as a reader has it: built with warnings as errors, whole without a network, uncut at any width, and found by its search."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, sync_playwright
from tests.browser import CHROMIUM, IN_CHROMIUM, serious
from tests.browser.server import FLAGS
from tests.docs import DOCS

pytestmark = pytest.mark.timeout(900)  # the first test builds the site: half a minute on an idle machine
TASKS = {
    "campaign": ("upload a content calendar", "calendar", "fix rows in excel", "excel", "time zone"),
    "retry": ("retry failed posts", "resend", "expired account"),
    "watch": ("progress", "progress bar", "stop a run"),
    "reschedule": ("reschedule posts", "time zone"),
    "withdraw": ("cancel scheduled posts", "undo"),
    "sync": ("sync campaign with sheet",),
    "two-people": ("two people same campaign",),
    "lost-laptop": ("laptop lost",),
    "duplicates": ("find duplicate posts", "duplicate"),
    "share-a-report": ("send report to manager", "report in excel"),
    "deliveries": ("webhook failed", "percentile", "resend"),
    "long-history": ("webhook history", "spark"),
    "schedule": ("cron", "airflow dag"),
    "service": ("fastapi",),
    "proxy": ("proxy",),
    "recipes": ("free time slots",),
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
def site(tmp_path_factory):
    """The built site. Each page that runs has run, and a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "4", str(DOCS), str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert built.returncode == 0, built.stderr[-6000:]
    return folder


def pages(site: Path) -> list[str]:
    return sorted(str(path.relative_to(site)) for path in site.rglob("*.html") if "_static" not in path.parts)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site):
    """A page of the site; requests to other machines are refused, and fail the test."""
    strangers = []

    def answer(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.netloc == "localhost":
            return route.fulfill(path=site / address.path.lstrip("/"))
        strangers.append(route.request.url)
        return route.abort()

    context = browser.new_context(base_url="http://localhost")
    context.route("**/*", answer)
    page = context.new_page()
    page.on("pageerror", lambda error: strangers.append(str(error)))
    yield page
    context.close()
    assert strangers == []


def test_each_page_of_a_task_is_searched_for():
    assert {path.stem for path in (DOCS / "how-to").glob("*.md")} == {*TASKS, "index"}


@pytest.mark.release
def test_every_page_is_reached_from_the_navigation(site):
    shown = (site / "index.html").read_text("utf-8")
    missing = [name for name in pages(site) if f'"{name}"' not in shown]
    assert set(missing) <= {"index.html", "search.html", "genindex.html", "py-modindex.html"}


class TestInChromium:
    pytestmark = [*IN_CHROMIUM, pytest.mark.release]

    def test_the_search_has_the_page_of_a_task_among_its_first_three_hits(self, page):
        page.goto("/search.html?q=retry+failed+posts")
        page.wait_for_selector("#search-results li a")
        found = {
            (task, query): [hit[0] for hit in page.evaluate(HITS, query)[:3]]
            for task, queries in TASKS.items()
            for query in queries
        }
        assert {asked: hits for asked, hits in found.items() if f"how-to/{asked[0]}" not in hits} == {}

    @pytest.mark.parametrize("width", [1366, 400])
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
