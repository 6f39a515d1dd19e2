"""Hostile text in every display, panel and report, in HTML, text, tickets and files: it is text, and nothing else.

That it executes nowhere in a real browser: test_hostile.py; in figures: test_plots.py.
"""

from __future__ import annotations

import json
import re
import zipfile
from html import unescape

import pandas as pd
from tests.views.payloads import INVISIBLE, PAYLOADS, TEXTS, assert_only_text

import voxops as vx
from voxops.views.excel import write_csv


def spoiled(frame, *names):
    """A frame whose rows have all the payloads in these columns."""
    evil = frame.reset_index(drop=True)
    assert len(evil) >= len(TEXTS)
    texts = pd.array([TEXTS[row % len(TEXTS)] for row in range(len(evil))], "string")
    evil = evil.assign(**dict.fromkeys(names, texts))
    evil.attrs = dict(frame.attrs, source=PAYLOADS[2], filters={PAYLOADS[1]: [PAYLOADS[19]]})
    return evil


def assert_harmless(shown, **allowed):
    """Assert that a display is only text where a page shows it, and that a terminal obeys nothing in it."""
    assert_only_text(shown._repr_html_(), **allowed)
    assert not INVISIBLE & set(repr(shown))


def cells_of(report, folder):
    """The texts in the files of a report."""
    with zipfile.ZipFile(report.to_excel(folder / "r.xlsx")) as parts:
        pages = "".join(parts.read(name).decode() for name in parts.namelist() if "/worksheets/" in name)
        texts = re.findall(r"<t[^>]*>([^<]*)</t>", parts.read("xl/sharedStrings.xml").decode())
    assert not re.search("<f>|<hyperlink|externalReference", pages)
    yield from map(unescape, texts)
    for path in report.to_csv(folder):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        yield from (*table.columns, *table.to_numpy().ravel())


def test_a_payload_is_text_in_every_display_and_medium(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "l.sqlite") as ws:
        triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))
        failed = triaged[triaged["cause"].notna()].head(40)
        names = ("content", "account_name", "error_code", "error_message", "cause", "remedy", "verdict", "platform")
        evil = spoiled(failed, *names)
        log = spoiled(ws.deliveries(since="30D").head(80), "url", "error", "response_body", "event_type")
        log["success"] = pd.array([row % 3 > 0 for row in range(len(log))], dtype="boolean")
        plan = vx.plan_retry(evil.assign(verdict="retry", retryable=True, platform=failed["platform"].iloc[0]))
        title = " ".join(PAYLOADS[:8])
        renamed = evil.rename(columns={"content": PAYLOADS[0]})
        for shown in (evil, log, evil[["content"]], renamed, plan.frame, vx.causes(evil)):
            assert_harmless(vx.view(shown, rows=100), links=True)
        for report in (vx.report(evil, title=title), vx.report(log, title=title)):
            assert_only_text(report._drawn("report.html"), page=True, links=True)
            assert_harmless(report, links=True)
            begun = [
                cell for cell in cells_of(report, tmp_path) if cell.startswith(("=", "+", "-", "@", "\t", "\uff1d"))
            ]
            assert all(re.fullmatch(r"-[\d.]+", cell) for cell in begun), "a spreadsheet would run it"
        owned = evil.assign(owner=evil["content"], verdict="fix content")
        for name, text in vx.report(owned, title=title).tickets().items():
            assert not INVISIBLE & set(name + text)
            assert all(line.startswith("    ") for line in text.split("\n") if line), "Markdown shows it as it is"
        for panel in (ws.panel(evil), ws.panel(log)):
            panel._failed(PAYLOADS[0])
            panel._plan(panel.frame)
            assert_harmless(panel)
            assert not INVISIBLE & set(json.dumps(panel._rows.table["cells"], ensure_ascii=False))
        run = ws.run(vx.plan_retry(failed.head(2)), reason=PAYLOADS[0]).wait(60)
        for shown in (plan, run, ws.panel(), vx.view(ws.runs()), vx.view(ws.ledger()), ws):
            assert_harmless(shown)


def test_half_an_emoji_where_an_api_has_cut_a_text_breaks_no_display_and_no_file(tmp_path):
    half = pd.DataFrame({"content": pd.Series(["half \ud83d"], dtype=object), "tags": [["half \ud83d"]]})
    assert "half \ufffd" in vx.view(half)._repr_html_() and "half \ufffd" in repr(vx.view(half))
    vx.to_excel(tmp_path / "half.xlsx", half=half)
    assert "half" in write_csv(half, tmp_path / "half.csv").read_text("utf-8-sig")
