"""Take the pictures of the README and of the site anew, from what JupyterLab shows: ``make pictures``."""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from tests.browser.lab import Lab, Part, change_theme

from voxburst_sandbox import Fault, Sandbox

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COLOURS = 256  # of a picture's palette: text stays sharp, and files small
SLOW = Fault("delay", method="POST", path="/v1/posts/*/**", seconds=20, times=None)
CELLS = (
    "import voxops as vx\nws = vx.connect('{key}', url='{url}', ledger='{folder}', tz='Europe/Berlin', owner_field='owner')",
    "triaged = vx.triage(vx.targets(ws.posts(status=['failed', 'partial'], since='30D')))\nvx.view(triaged, rows=12)",
    "ws.panel(triaged)",
    "ws.panel(ws.deliveries(since='30D'))",
    "run = ws.run(vx.plan_retry(triaged), reason='spring campaign, ticket 4711')\nrun",
    "run.wait()\nvx.report(triaged, run=run).to_html('report.html');",
)


def main() -> int:
    """Exit status 0 if all pictures were taken."""
    with (
        tempfile.TemporaryDirectory(prefix="voxops-pictures-") as folder,
        Sandbox(seed=7, speed=20, rate_limit=500, deliveries=1500) as api,
        Lab(Path(folder) / "lab") as lab,
    ):
        names = {"key": api.api_key, "url": api.url, "folder": Path(folder) / "ledger"}
        lab.write("pictures.ipynb", *(cell.format(**names) for cell in CELLS))
        book = lab.open("pictures.ipynb", width=1366, height=2400)
        for number in (0, 1, 2, 3):
            book.run_cell(number)
            book.finished()
        keep("view", [shot(book.at(1))])

        panel = book.at(2)
        panel.facet("verdict", "retry")
        panel.wait("29 of 77 failures match")
        panel.click("Plan all 29 that match")
        panel.wait("Plan to retry")
        keep("triage-panel", [shot(panel)])

        log = book.at(3)
        log.wait("deliveries match")
        keep("delivery-panel", [shot(log)])

        api.add_fault(SLOW)
        book.run_cell(4)
        monitor = book.at(4)
        monitor.wait("· succeeded on")
        book.page.wait_for_timeout(4000)
        monitor.click("Pause")
        monitor.wait("paused")
        change_theme(book.page, "Dark")
        dark = shot(monitor)
        change_theme(book.page, "Light")
        keep("monitor", [shot(monitor), dark])
        api.clear_faults()
        monitor.click("Resume")
        monitor.wait("✓ done")

        book.run_cell(5)
        book.finished()
        page = lab.show(lab.root / "report.html")
        keep("report", [page.screenshot(clip={"x": 0, "y": 0, "width": 1100, "height": 1000})])
        errors = book.errors()
        print("\n".join(errors) or f"pictures are in {IMAGES.relative_to(Path.cwd())}")
    return 1 if errors else 0


def shot(part: Part) -> bytes:
    """Take a picture of what a cell shows, without its selection."""
    part.area.page.evaluate("() => document.activeElement.blur()")
    place = part.area.locator(".jupyter-widgets:visible, .vx:visible").first
    place.scroll_into_view_if_needed()
    return place.screenshot()


def keep(name: str, parts: list[bytes]) -> None:
    """Store pictures as one, beneath each other."""
    images = [Image.open(BytesIO(part)).convert("RGB") for part in parts]
    whole = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)), "white")
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    # Small marks keep their colours.
    palette = whole.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    sys.exit(main())
