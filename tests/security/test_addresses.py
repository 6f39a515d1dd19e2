"""Addresses of webhooks open nothing wherever they are shown (point 10 of the review of leaks)."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops._support.safe import redact_address, redact_addresses
from voxops.cli import main

TOKEN = "kGz9XW3vTq1LwYb7RmN2pQsD"
ADDRESSES = [
    (f"https://user:{TOKEN}@hooks.example/in", "https://hooks.example/in"),
    (f"https://hooks.example/in?key={TOKEN}#{TOKEN}", "https://hooks.example/in?…"),
    (f"https://hooks.example/in#{TOKEN}", "https://hooks.example/in"),
    (f"https://hooks.slack.com/services/T012/B034/{TOKEN}", "https://hooks.slack.com/services/T…/B…/kGz9…"),
    (f"https://discord.com/api/webhooks/1234/{TOKEN}", "https://discord.com/api/webhooks/1234/kGz9…"),
    (f"https://discord.com/api/v10/webhooks/1234/{TOKEN}/slack", "https://discord.com/api/v10/webhooks/1234/kGz9…/slack"),
    (f"https://api.telegram.org/bot99:{TOKEN}/sendMessage", "https://api.telegram.org/bot9…/sendMessage"),
    (f"https://hooks.zapier.com/hooks/catch/77/{TOKEN[:6]}/", "https://hooks.zapier.com/hooks/catch/77/k…/"),
    (f"https://maker.ifttt.com/trigger/e/with/key/{TOKEN}", "https://maker.ifttt.com/trigger/…/with/key/kGz9…"),
    (f"https://a.example/token/{TOKEN[:3]}/in", "https://a.example/token/…/in"),
    (f"https://hook.eu1.make.com/{TOKEN}", f"https://hook.eu1.make.com/{TOKEN[:4]}…"),
    ("https://n8n.example/webhook/1b4e28ba-2fa1-11d2-883f-0016d3cca427", "https://n8n.example/webhook/1b4e…"),
    (f"https://n8n.example/webhook/{TOKEN[:16]}", "https://n8n.example/webhook/kGz9…"),
    (f"https://x.example/webhookb2/1b4e28ba-2fa1@{TOKEN}/in", "https://x.example/webhookb2/1b4e…/in"),
    ("https://shop.example/hooks/new-orders-for-the-warehouse", "https://shop.example/hooks/new-orders-for-the-warehouse"),
    ("http://[", "…"),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("url", "shown"), ADDRESSES)
def test_an_address_as_it_is_shown(url, shown):
    assert redact_address(url) == shown
    assert TOKEN not in redact_addresses(f"connection refused: {url}, again later")


@given(st.text())
def test_any_text_can_be_an_address(text):
    assert isinstance(redact_address(text), str)
    assert "#" not in redact_address(f"https://a.example/{text}")


@given(st.from_regex(r"[A-Za-z0-9:%]{1,30}", fullmatch=True))
def test_what_stands_before_the_host_is_never_shown(secret):
    assert redact_address(f"https://{secret}@a.example/in") == "https://a.example/in"


@pytest.fixture
def log(sandbox: Sandbox) -> pd.DataFrame:
    """A delivery history whose addresses and errors hold tokens."""
    with vx.connect(sandbox=sandbox) as ws:
        frame = ws.deliveries(since="30D")
    frame = frame[~frame["success"].fillna(False).astype(bool) | (frame.index < 100)].reset_index(drop=True)
    urls = [url for url, _ in ADDRESSES if TOKEN in url]
    spoiled = frame.assign(
        url=pd.array([urls[row % len(urls)] for row in range(len(frame))], dtype="string"),
        error=pd.array([f"refused by {urls[row % len(urls)]}" for row in range(len(frame))], dtype="string"),
        response_body=pd.array([f"moved to {urls[0]}"] * len(frame), dtype="string"),
        status_code=frame["status_code"].where(
            frame["success"].fillna(False).astype(bool)
        ),  # so that outages show errors
    )
    spoiled.attrs = frame.attrs
    return spoiled


def test_no_report_and_no_table_shows_a_token(log, tmp_path):
    made = vx.report(log)
    made.to_html(tmp_path / "a.html")
    made.to_markdown(tmp_path / "a.md")
    made.to_csv(tmp_path / "csv")
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) > 5
    for text in [*texts, repr(made), made._repr_html_()]:
        assert TOKEN not in text


def redelivered(log: pd.DataFrame) -> pd.DataFrame:
    """Results of a redelivery, with the message that a ledger of before may hold."""
    keys = log[["delivery_id", "url"]].head(3)
    return keys.assign(
        outcome=pd.array(["failed"] * 3, dtype="string"),
        error_message=log["error"].head(3),
        run=pd.array(["run_1"] * 3),
    )


@pytest.mark.parametrize("live", [False, True])
def test_no_view_shows_a_token(log, live):
    tables = (
        log, vx.deliveries.lost(log), vx.deliveries.outages(log, at_least=1), vx.deliveries.stats(log, by="endpoint"),
        vx.deliveries.levels(log), redelivered(log),
    )  # fmt: skip
    assert vx.deliveries.outages(log, at_least=1)["symptom"].str.contains(TOKEN).any()
    for table in tables:
        shown = vx.view(table, live=live)
        grid = json.dumps(shown.grid.rows.model(), default=str) if live else ""
        for text in (repr(shown), shown._repr_html_(), grid):
            assert TOKEN not in text
        assert "hooks.slack.com" in repr(vx.view(log))


def test_the_command_prints_no_token(monkeypatch, capsys, log):
    monkeypatch.setattr(vx.Workspace, "deliveries", lambda *_, **__: log)
    main(["deliveries", "--sandbox", "--since", "30D"])
    printed = capsys.readouterr().out
    assert "hooks.slack.com" in printed
    assert TOKEN not in printed
