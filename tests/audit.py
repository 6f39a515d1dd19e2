"""What an installation brings along: ``make audit``; X="archive lab" adds extras. Run it before a release; no change waits for it.

Prints the licences (see `tests.licences`), what is known against the installed versions, as pip-audit finds it, and the files of the wheel in
``dist``. Ends with 1 where a person must act, and with 3 where it can't tell, since advisories could not be had.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests import licences

CANT_TELL = 3
ROOT = Path(__file__).resolve().parents[1]


def advisories(tool: str, names: Sequence[str]) -> int:
    """Print what pip-audit says of each ``name==version``; the exit status that this alone deserves."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write("\n".join(names))
        wanted.flush()
        done = subprocess.run(
            [tool, "-r", wanted.name, "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        *_, last = "pip-audit said nothing", *done.stderr.splitlines()
        print(f"advisories: can't tell: {last}")
        return CANT_TELL
    known = [(each, one) for each in found for one in each.get("vulns", ())]
    for each, one in known:
        mended = ", ".join(one.get("fix_versions") or ()) or "no version yet"
        print(f"advisories: {each['name']} {each['version']}: {one['id']}, mended in {mended}")
    left = [each["name"] for each in found if "skip_reason" in each]
    print(f"advisories: {len(found) - len(left)} packages looked up, {len(known)} known vulnerabilities")
    if left:
        print(f"advisories: can't tell for {len(left)}: {', '.join(left)}")
    return 1 if known else CANT_TELL if left else 0


def wheel() -> None:
    """Print what the wheels in ``dist`` hold, by folder."""
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    for path in wheels:
        print(f"{path.name}:")
        folders = Counter(str(Path(name).parent) for name in zipfile.ZipFile(path).namelist())
        for folder, count in sorted(folders.items()):
            print(f"    {folder}: {count} files")
    if not wheels:
        print("wheel: none in dist; make dist builds it")


def main(tool: str, extras: list[str]) -> int:
    """Report all three; the gravest exit status."""
    unread = licences.main(extras)
    names = [f"{each.metadata['Name']}=={each.version}" for each in licences.closure("voxops", extras)]
    known = advisories(tool, [name for name in names if not name.startswith("voxops==")])
    wheel()
    return 1 if 1 in {unread, known} else known


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
