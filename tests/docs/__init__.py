"""The pages that are read, and the code in them."""

from __future__ import annotations

import re
from pathlib import Path

HOME = Path(__file__).parents[2]
DOCS = HOME / "docs"
WRITTEN = [page for page in sorted(DOCS.rglob("*.md")) if page.parent.name != "generated"]


def blocks(page: Path, language: str) -> list[str]:
    """The code of a page in this language, such as ``{code-cell}``."""
    found = re.findall(r"^```(.*?)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [code for said, code in found if said == language]
