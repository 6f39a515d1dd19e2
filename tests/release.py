"""Whether this tree may be released: ``make release-check``; with TAG=v0.1.0, under that tag.

It names every fault at once, each with what to do. The blanks that only the owner can fill are keys of ``pyproject.toml``; what repeats them
or the version must agree with it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
BLANKS = {
    "license": 'license = "…", an SPDX expression, under [project]',
    "authors": 'authors = [{ name = "…" }], under [project]',
    "urls.Homepage": 'Homepage = "…", under [project.urls]',
    "urls.Documentation": 'Documentation = "…", under [project.urls]',
    "urls.Repository": 'Repository = "…", under [project.urls]',
    "urls.Security": 'Security = "…", a page or mailto: and an address, under [project.urls]',
}


def faults(root: Path, tag: str = "") -> list[str]:
    """All that stands against a release of the tree at `root`, as sentences that say what to do."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    keys = project | {f"urls.{name}": url for name, url in project.get("urls", {}).items()}
    given = {key: value for key, value in keys.items() if value and "…" not in str(value)}
    cited = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    return [
        *_blanks(root, given),
        *_versions(root, project["version"], cited, tag),
        *_changelog((root / "CHANGELOG.md").read_text("utf-8"), project["version"], cited),
        *_repeated(root, given, cited),
    ]


def _blanks(root, given):
    for key, how in BLANKS.items():
        if key not in given:
            yield f"pyproject.toml: {key} is blank. The owner writes {how}"
    if not (root / "LICENSE").is_file() or not (root / "LICENSE").read_text("utf-8").strip():
        yield "LICENSE: missing. The owner puts the text of the licence there"


def _versions(root, version, cited, tag):
    source = (root / "src" / "voxops" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.*)"', source, flags=re.MULTILINE)
    if found is None or found[1] != version:
        yield f'src/voxops/__init__.py: write __version__ = "{version}", the version of pyproject.toml'
    if str(cited.get("version")) != version:
        yield f"CITATION.cff: write version: {version}, the version of pyproject.toml"
    if tag and tag != f"v{version}":
        yield f"tag {tag}: pyproject.toml has {version}. Tag v{version}, or change the version"


def _changelog(text, version, cited):
    sections = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    if "[Unreleased]" not in sections:
        yield "CHANGELOG.md: write an empty section ## [Unreleased] above the newest version"
    elif sections["[Unreleased]"].strip():
        yield f"CHANGELOG.md: changes stand under [Unreleased]. Put ## [{version}] and the date above them, and leave [Unreleased] empty"
    heading = re.search(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)$", text, flags=re.MULTILINE)
    if heading is None:
        yield f"CHANGELOG.md: no section of {version}. Write ## [{version}] - YYYY-MM-DD, the day of the release"
    elif not sections[heading[0].removeprefix("## ")].strip():
        yield f"CHANGELOG.md: the section of {version} is empty. Write what has changed"
    elif str(cited.get("date-released")) != heading[1]:
        yield f"CITATION.cff: write date-released: {heading[1]}, the date of CHANGELOG.md"
    if "Nothing has been released" in text:
        yield "CHANGELOG.md: take out the sentence that nothing has been released"


def _repeated(root, given, cited):
    """What repeats a blank, once that is filled in."""
    for key, source in {"license": "license", "repository-code": "urls.Repository", "url": "urls.Homepage"}.items():
        if source in given and cited.get(key) != given[source]:
            yield f"CITATION.cff: write {key}: {given[source]}, as pyproject.toml has it"
    authors = [each["name"] for each in given.get("authors", ()) if "name" in each]
    names = [each.get("name") or f"{each['given-names']} {each['family-names']}" for each in cited["authors"]]
    if authors and sorted(names) != sorted(authors):
        yield f"CITATION.cff: write the authors of pyproject.toml: {', '.join(authors)}"
    contact = given.get("urls.Security", "").removeprefix("mailto:")
    if contact not in (root / "SECURITY.md").read_text("utf-8"):
        yield f"SECURITY.md: write {contact} in the place of the key of pyproject.toml"


def main(tag: str = "") -> int:
    """Print the faults; 1 if there is any."""
    found = faults(ROOT, tag)
    print("\n".join(found) or "this tree may be released")
    if found:
        print(f"\n{len(found)} faults: no release", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
