"""The table: every row of the matrix, and every law on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from voxburst_sandbox import Remote, Sandbox
from voxops._core import eventloop
from voxops.api.matrix import MATRIX, Endpoint
from voxops.client import AsyncClient, is_loopback
from voxops.conformance.bench import Bench
from voxops.conformance.cases import CASES
from voxops.conformance.findings import Finding, summary
from voxops.conformance.laws import LAWS
from voxops.conformance.reads import read_rows
from voxops.errors import ConfigError, VoxopsError

__all__ = ["check", "try_row", "try_rows"]

Report = Callable[[str], Any]


async def try_row(bench: Bench, row: Endpoint) -> Finding:
    """Try one row under every law; what keeps several laws from being tried is reported once."""
    differs: dict[str, str] = {}
    for name, law in LAWS.items():
        try:
            found = await law(bench, row, CASES[row.row])
        except VoxopsError as error:
            found = [str(error)]
        for what in found:
            differs.setdefault(what, name)
    return Finding(row, tuple(f"{name}: {what}" for what, name in differs.items()))


async def try_rows(sandbox: Remote, report: Report) -> list[Finding]:
    """Try all rows in a sandbox, and report each as it is done.

    Parameters
    ----------
    sandbox : Remote
        A running sandbox; what is tried stays done in it.
    report : callable
        Takes one line of text per row.
    """
    findings = []
    async with Bench(sandbox) as bench:
        for row in MATRIX:
            findings.append(await try_row(bench, row))
            report(str(findings[-1]))
    return findings


def check(url: str | None = None, *, write: bool = False, report: Report = print) -> bool:
    """Check the matrix, report each row in a line and all of them in a last one, and return whether all is well.

    Parameters
    ----------
    url : str, optional
        A server. It is only read, with the API key in ``VOXBURST_API_KEY``. By default a sandbox is started, and everything tried.
    write : bool
        Try everything at `url`, too; only a sandbox on this machine is taken, since the check counts what happened by its record.
    report : callable
        Takes the lines.

    Raises
    ------
    ConfigError
        If `write` is asked for anything but a sandbox on this machine, or there is no API key to read with.
    """
    if url is None and write:
        raise ConfigError("--write needs --url; without it everything is tried in a fresh sandbox anyway")
    if url is None:
        with Sandbox(rate_limit=None) as sandbox:
            findings = eventloop.run(try_rows(sandbox, report))
    elif write:
        with contextlib.closing(_sandbox_at(url)) as remote:
            findings = eventloop.run(try_rows(remote, report))
    else:
        findings = eventloop.run(_read(url, report))
    report(summary(findings))
    return all(finding.ok for finding in findings)


def _sandbox_at(url: str) -> Remote:
    """The sandbox at an address on this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host):
        raise ConfigError(
            f"--write would change things at {host or url}; it takes only a sandbox on this machine, such as http://127.0.0.1:8765"
        )
    remote = Remote(url.rstrip("/").removesuffix("/v1"))
    if not remote.answers():
        remote.close()
        raise ConfigError(f"no voxops sandbox answers at {url}; start one with: voxops sandbox --port 8765")
    return remote


async def _read(url: str, report: Report) -> list[Finding]:
    """Read at a server."""
    key = os.environ.get("VOXBURST_API_KEY")
    if not key:
        raise ConfigError("no API key: set VOXBURST_API_KEY")
    async with AsyncClient(key, url=url) as client:
        findings = await read_rows(client)
    for finding in findings:
        report(str(finding))
    return findings
