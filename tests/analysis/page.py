"""The code of `docs/how-to/past-one-machine.md` that its build does not run."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "past-one-machine.md"
PLACE = "/data/voxburst"  # the archive, as the page names it


def block(heading: str, language: str) -> str:
    """The first piece of code below a heading of the page."""
    section = re.split(r"^## ", PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    found = re.search(rf"^```{re.escape(language)}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    if found is None:
        raise LookupError(f"{PAGE.name} has no {language} below {heading!r}")
    return found[1]
