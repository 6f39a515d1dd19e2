"""The address of a webhook is a password: wherever it is shown, only its host is, and a short hash of the whole."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxops as vx
from voxops._support.safe import redact_address, redact_addresses
from voxops.cli import main

TOKEN = "kGz9XW3vTq1LwYb7RmN2pQsD"
ADDRESSES = [
    (f"https://user:{TOKEN}@hooks.example/in", "hooks.example"),
    (f"https://hooks.example/in?key={TOKEN}#{TOKEN}", "hooks.example"),
    (f"https://hooks.slack.com/services/T012/B034/{TOKEN}", "hooks.slack.com"),
    (f"https://discord.com/api/v10/webhooks/1234/{TOKEN}/slack", "discord.com"),
    ("http://127.0.0.1:8080/hook", "127.0.0.1:8080"), ("http://[::1]:8080/hook", "[::1]:8080"), ("http://[", ""), ("", ""),
]  # fmt: skip
TOKENS = [
    TOKEN, "kGz9XW3v", "kGzXvTqLwYbRmNpQsDfHjKl", "qkzxwvtqlwybrmnpshdfjkl", "hunter", "92837465018273645501", "92837",
    "%6B%47%7A%39%58%57%33%76", "kGz9%20XW3vTq1LwYb7", *(f"kGz9{sign}XW3vTq1LwYb7" for sign in ";!($|',*&"), "kGz9XW…3vTq1LwYb7", "kGz9-XW3v-Tq1L-wYb7",
    "hook-kGz9XW3vTq1LwYb7", "schlüssel-wörter-geheim", "user@kGz9XW3vTq1L", "99:kGz9XW3vTq1L",
]  # fmt: skip
FORMS = [
    "https://hooks.example/in/{}", "https://hooks.example/{}/in", "https://hooks.example/in;token={}", "https://hooks.example/in?key={}",
    "https://hooks.example/in#{}", "https://user:{}@hooks.example/in", "wss://hooks.example/{}", "//hooks.example/{}", "hook:{}",
]  # fmt: skip


@pytest.mark.parametrize(("url", "host"), ADDRESSES)
def test_an_address_is_shown_as_its_host_and_a_hash(url, host):
    shown = redact_address(url)
    assert re.fullmatch(re.escape(host) + "/…#[0-9a-f]{8}", shown)
    assert redact_address(shown) == shown, "redacted twice"
    assert shown != redact_address(f"{url}x"), "told apart"
    assert TOKEN not in redact_addresses(f"connection refused: {url}, again later")


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_token_is_shown_whole(form):
    for token in TOKENS:
        address = form.format(token)
        shown = [redact_address(address)]
        if "://" in address:
            shown.append(redact_addresses(f"refused: '{address}', again"))
            assert shown[-1].endswith("', again")
        for text in shown:
            assert not any(token[at : at + 5] in text for at in range(len(token) - 4)), text


@given(st.text())
def test_any_text_can_be_an_address(text):
    assert "/…#" in redact_address(text)


@given(st.from_regex(r"[A-Za-z0-9:%]{1,30}", fullmatch=True))
def test_what_stands_before_the_host_is_never_shown(secret):
    assert redact_address(f"https://{secret}@a.example/in").startswith("a.example/…#")


@pytest.fixture
def log(sandbox):
    """A delivery history whose addresses and errors hold tokens."""
    with vx.connect(sandbox=sandbox) as ws:
        frame = ws.deliveries(since="30D")
    frame = frame[~frame["success"].fillna(False).astype(bool) | (frame.index < 100)].reset_index(drop=True)
    urls = [url for url, _ in ADDRESSES if TOKEN in url]
    served = frame["success"].fillna(False).astype(bool)
    spoiled = frame.assign(
        url=pd.array([urls[row % len(urls)] for row in range(len(frame))], dtype="string"),
        error=pd.array([f"refused by {urls[row % len(urls)]}" for row in range(len(frame))], dtype="string"),
        response_body=pd.array([f"moved to {urls[0]}"] * len(frame), dtype="string"),
        status_code=frame["status_code"].where(served),  # so that outages show errors
    )
    spoiled.attrs = frame.attrs
    return spoiled


def test_no_report_no_view_and_no_command_shows_a_token(log, tmp_path, monkeypatch, capsys):
    made = vx.report(log)
    made.to_html(tmp_path / "a.html")
    made.to_csv(tmp_path / "csv")
    shown = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(shown) > 5
    shown += [repr(made), made._repr_html_()]
    redelivered = log[["delivery_id", "url"]].head(3).assign(
        outcome=pd.array(["failed"] * 3, dtype="string"), error_message=log["error"].head(3), run=pd.array(["run_1"] * 3)
    )  # fmt: skip
    outages = vx.deliveries.outages(log, at_least=1)
    assert outages["symptom"].str.contains(TOKEN).any()
    stats = vx.deliveries.stats(log, by="endpoint")
    for table in (log, vx.deliveries.lost(log), outages, stats, redelivered):
        shown += [repr(vx.view(table)), vx.view(table)._repr_html_()]
    monkeypatch.setattr(vx.Workspace, "deliveries", lambda *_, **__: log)
    main(["deliveries", "--sandbox", "--since", "30D"])
    shown.append(capsys.readouterr().out)
    assert "hooks.slack.com" in repr(vx.view(log))
    assert "hooks.slack.com" in shown[-1]
    assert not [text for text in shown if TOKEN in text]
