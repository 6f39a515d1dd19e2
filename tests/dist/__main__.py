"""Install each built archive into an empty environment and do the main job there, away from the source folder.

The source archive also passes tests of its own, from an empty folder: those that read its other files, and a quick package. All are collected.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

TRY = """
import voxops as vx
with vx.connect(sandbox=True) as ws:
    run = ws.run(vx.plan_retry(vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))).canary(1))
    print(vx.__version__, len(run.results()), "rows planned")
"""

TESTS = ("docs/test_links.py", "docs/test_release.py", "security/test_licences.py", "api")


def names(archive: Path) -> list[str]:
    """The files in a wheel or a source archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            return file.namelist()
    with tarfile.open(archive) as file:
        return [name.partition("/")[2] for name in file.getnames()]


def check(archive: Path) -> None:
    """Refuse an archive that lacks the package or holds what is nobody's business."""
    found = names(archive)
    assert any(name.endswith("voxops/py.typed") for name in found), f"{archive.name} is not typed"
    stray = [name for name in found if "__pycache__" in name or name.startswith((".venv", "build/", "dist/"))]
    assert not stray, f"{archive.name} holds {stray}"
    if archive.suffix == ".whl":
        top = {name.split("/")[0] for name in found}
        assert all(name in {"voxops", "voxburst_sandbox"} or name.endswith(".dist-info") for name in top), (
            f"{archive.name} holds {top}"
        )


def smoke(archive: Path) -> None:
    """Install into an empty environment, and use it from an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        venv.create(home / "env", with_pip=True)
        python = home / "env" / "bin" / "python"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VOXBURST"))}
        for command in (
            [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", archive],
            [python, "-m", "pip", "--disable-pip-version-check", "check"],
            [python, "-I", "-W", "error", "-c", TRY],
            [home / "env" / "bin" / "voxops", "demo"],
        ):
            subprocess.run(list(map(str, command)), cwd=home, env=environment, check=True, stdout=sys.stderr)


def own_tests(archive: Path) -> None:
    """Unpack a source archive, and run tests of it with what is installed here."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        (home,) = Path(folder).iterdir()
        for words in (["--collect-only"], [f"tests/{name}" for name in TESTS]):
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", *words],
                cwd=home,
                check=False,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            lines = done.stdout.splitlines()
            assert done.returncode == 0, "\n".join([f"{archive.name} fails its own tests", *lines[-40:]])
            print(f"{archive.name}: {lines[-1]}")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        archive = Path(argument).resolve()
        check(archive)
        smoke(archive)
        if archive.suffix == ".gz":
            own_tests(archive)
        print(f"{archive.name}: installs and works")
