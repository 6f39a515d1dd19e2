"""Draw the packages and their imports into ``docs/images/architecture.svg``: ``python -m tests.architecture_doc``.

The arrows are what the files import, less what other arrows imply. A new package needs a place here; an arrow that would point down
is an error, since a package imports only what stands above it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.test_architecture import ROOMS, imports, modules, room

FILE = Path(__file__).parents[1] / "docs" / "images" / "architecture.svg"
PACKAGES = tuple(name for name in ROOMS if not name.startswith("__"))

# Where each box stands: how far to the right, and in which layer, so that no arrow passes behind a box.
PLACES = {
    "errors": (1.5, 0), "sandbox": (3, 0),
    "_support": (1, 1), "model": (2, 1),
    "api": (1.5, 2),
    "frames": (1.5, 3),
    "analysis": (0, 4), "sheets": (1, 4), "webhooks": (3, 4),
    "acts": (1, 5), "client": (2.2, 5),
    "deliveries": (0, 6), "ledger": (0.95, 6), "loading": (1.88, 6),
    "views": (0, 7), "engine": (0.95, 7),
    "archive": (1, 8), "run": (2, 8),
    "workspace": (1.5, 9),
    "connection": (1.5, 10),
    "demo": (2, 11), "conformance": (3, 11),
    "cli": (2.5, 12),
}  # fmt: skip
WIDE, HIGH, ACROSS, DOWN, MARGIN = 84, 24, 108, 52, 8  # in pixels: a box, from box to box, and around all
HEAD = '<marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0 1l7 3l-7 3z"/></marker>'
# Colours that are seen on light and on dark pages: white on a box has a contrast of 5.
STYLE = (
    "line{stroke:#8a8a8a;stroke-width:1.3;marker-end:url(#head)}marker{fill:#8a8a8a}rect{fill:#3f66a0}.sandbox{fill:#9a5a12}"
    "text{fill:#fff;font:12px system-ui,sans-serif;text-anchor:middle}"
)


@cache
def imported() -> dict[str, frozenset[str]]:
    """Each package with those that it imports; the API on this machine is ``sandbox``."""
    found: dict[str, set[str]] = {name: set() for name in PACKAGES}
    for path in modules():
        for name in imports(path) if room(path) in found else ():
            first, _, rest = name.partition(".")
            found[room(path)].add("sandbox" if first == "voxburst_sandbox" else rest.split(".")[0])
    return {name: frozenset(others & {*PACKAGES, "sandbox"}) - {name} for name, others in found.items()}


@cache
def reached(name: str) -> frozenset[str]:
    """Everything of voxops that a package imports, also by way of others."""
    direct = imported()[name] - {"sandbox"}
    return direct.union(*map(reached, direct))


def arrows() -> list[tuple[str, str]]:
    """The imports that no others imply."""
    direct = {name: imported()[name] - {"sandbox"} for name in PACKAGES}
    return [
        (name, other)
        for name in PACKAGES
        for other in sorted(direct[name])
        if not any(other in reached(third) for third in direct[name])
    ]


def drawn() -> str:
    """The picture as SVG."""
    lines, boxes = [], []
    for name, other in arrows():
        (x, y), (to, up) = _corner(name), _corner(other)
        assert up < y, f"{name} imports {other}, which does not stand above it"
        middle = WIDE // 2
        lines.append(f'<line x1="{x + middle}" y1="{y}" x2="{to + middle}" y2="{up + HIGH + 2}"/>')
    for name in ("sandbox", *PACKAGES):
        x, y = _corner(name)
        kind = ' class="sandbox"' if name == "sandbox" or "sandbox" in imported()[name] else ""
        boxes.append(f'<rect{kind} x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="4"/>')
        boxes.append(f'<text x="{x + WIDE // 2}" y="{y + 16}">{name}</text>')
    width = max(_corner(name)[0] for name in PLACES) + WIDE + MARGIN
    height = max(_corner(name)[1] for name in PLACES) + HIGH + MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{STYLE}</style>", HEAD, *lines, *boxes, "</svg>"]) + "\n"


def _corner(name: str) -> tuple[int, int]:
    """The upper left corner of a box."""
    right, layer = PLACES[name]
    return MARGIN + round(right * ACROSS), MARGIN + layer * DOWN


if __name__ == "__main__":
    FILE.write_text(drawn(), encoding="utf-8")
