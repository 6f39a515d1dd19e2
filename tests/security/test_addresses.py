"""The address of a webhook is a password: wherever it is shown, only its registered host is, and a short hash of the whole."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from traceback import format_exception

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.security.raw import answer, asked, serve
from tests.security.workbooks import tables

import voxops as vx
from voxops._support.safe import redact_address, redact_addresses, without_queries
from voxops.cli import main
from voxops.errors import ApiError
from voxops.model import Transition
from voxops.views.snapshot import render_html, render_text

TOKEN = "kGz9XW3vTq1LwYb7RmN2pQsD"
ADDRESSES = [
    (f"https://user:{TOKEN}@hooks.example/in", "hooks.example"),
    (f"https://hooks.example/in?key={TOKEN}#{TOKEN}", "hooks.example"),
    (f"https://hooks.slack.com/services/T012/B034/{TOKEN}", "slack.com"),
    (f"https://discord.com/api/v10/webhooks/1234/{TOKEN}/slack", "discord.com"),
    (f"https://x.example/webhookb2/1b4e28ba-2fa1@{TOKEN}/in", "x.example"),
    ("http://[", ""), ("", ""), ("http://127.0.0.1:8080/hook", "127.0.0.1:8080"), ("http://[::1]:8080/hook", "[::1]:8080"),
    ("http://localhost:9/api/v1/events.json", "localhost:9"),
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
HOSTS = [
    "https://{}.hooks.example/in", "https://a.{}.pipedream.net", "https://hooks.example;{}/in", "https://hooks.example:{}/",
]  # fmt: skip


@pytest.mark.parametrize(("url", "shown"), ADDRESSES)
def test_an_address_as_it_is_shown(url, shown):
    assert re.fullmatch(rf"{re.escape(shown)}/…#[0-9a-f]{{8}}", redact_address(url))
    assert redact_address(redact_address(url)) == redact_address(url)
    assert TOKEN not in redact_addresses(f"connection refused: {url}, again later")


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_token_is_shown_whole(form):
    for token in TOKENS:
        address = form.format(token)
        shown = [redact_address(address)]
        for begin in ("https", "s3", "SFTP", "amqp+tls", "socks5h") if address.startswith("https://") else ():
            other = redact_addresses(f"<{begin}{address[5:]}>")
            assert other == f"<{redact_address(begin + address[5:])}>", other
        if "://" in address:
            shown.append(redact_addresses(f"refused: '{address}', again"))
            assert shown[-1].endswith("', again")
        for text in shown:
            assert not any(token[at : at + 5] in text for at in range(len(token) - 4)), text


@pytest.mark.parametrize("form", HOSTS)
@pytest.mark.parametrize("token", [TOKEN, "qkzxwvtqlwybrmnpshdfjkl", "eo1a2b3c4d5e6f", "hunter"])
def test_a_token_in_the_name_of_the_host_is_cut(form, token):
    assert token[:5].lower() not in redact_address(form.format(token)).lower()


@given(st.text())
def test_any_text_can_be_an_address(text):
    assert len(redact_address(f"https://hooks.example/{text}")) < 40
    assert isinstance(redact_address(text), str)


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


def sheets(path):
    """All texts of a workbook."""
    return [str(cell) for rows in tables(path).values() for row in rows for cell in row]


def test_no_report_no_view_no_workbook_and_no_command_shows_a_token(log, tmp_path, monkeypatch, capsys):
    made = vx.report(log)
    made.to_html(tmp_path / "a.html")
    made.to_csv(tmp_path / "csv")
    shown = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(shown) > 4
    made.to_excel(tmp_path / "a.xlsx")
    plan = vx.plan_redeliver(log[log["error"].notna()].head(5))
    vx.to_excel(tmp_path / "b.xlsx", log=log, lost=vx.deliveries.lost(log), plan=plan)
    cells = sheets(tmp_path / "a.xlsx") + sheets(tmp_path / "b.xlsx")
    assert any("slack.com/…#" in cell for cell in cells)
    shown += cells
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
    assert "slack.com/…#" in repr(vx.view(log))
    assert "slack.com/…#" in shown[-1]
    assert not [text for text in shown if TOKEN in text]


MEDIA = [
    f"https://user:{TOKEN}@cdn.example/a.jpg", f"https://cdn.example/b.jpg?X-Amz-Signature={TOKEN}", f"https://{TOKEN}.s3.example/c.jpg",
    f"https://cdn.example/{TOKEN}/d.jpg", f"http://cdn.example/e.jpg?sig={TOKEN}", f"ftp://u:{TOKEN}@cdn.example/f.jpg", f"https://[{TOKEN}/g.jpg",
    f"https://cdn.example/h.jpg?sig={TOKEN}; https://cdn.example/i.jpg#{TOKEN}", f"s3://key:{TOKEN}@bucket/j.jpg", f"https://a.example/k.jpg,{TOKEN}",
]  # fmt: skip


def test_the_media_of_a_sheet_are_in_no_display_and_in_no_workbook_but_its_own(sandbox, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with vx.connect(sandbox=sandbox) as ws:
        account = ws.accounts()["account_id"].iloc[0]
        rows = {
            "row_id": range(len(MEDIA)),
            "content": "text",
            "accounts": account,
            "scheduled_for": "2027-05-05T09:00Z",
            "media": MEDIA,
        }
        pd.DataFrame(rows).to_csv(tmp_path / "sheet.csv", index=False)
        sheet = vx.read_campaign(tmp_path / "sheet.csv")
        uploaded = ws.upload(sheet)
        plans = [vx.plan_create(each, key="row_id", campaign="addresses") for each in (sheet, uploaded)]
        run = ws.run(plans[1]).wait(60)
        frames = [sheet, uploaded, ws.check(sheet), run.results(), run.to_mend(), ws.runs()]
        shown = [text for each in (*map(vx.view, frames), *plans, run) for text in (repr(each), each._repr_html_())]
        assert any("cdn.example/…#" in text for text in shown)
        vx.to_excel(tmp_path / "mend.xlsx", mend=run.to_mend())
        assert TOKEN in "".join(sheets(tmp_path / "mend.xlsx")), "what is read again is written as it was"
    assert not [text for text in [*shown, caplog.text] if TOKEN in text]


QUOTED = [
    f"can't fetch https://bucket.example/a/photo.jpg?X-Amz-Signature={TOKEN}&X-Amz-Expires=60: denied",
    f"https://bucket.example/a/photo.jpg?X-Amz-Signature={TOKEN}", f"no media at 'bucket.example/a/photo.jpg?sig={TOKEN}', try again",
    f"(https://user:{TOKEN}@bucket.example/a/photo.jpg).", f"see https://bucket.example/a/photo.jpg#access_token={TOKEN}.",
    f"https%3A%2F%2Fbucket.example%2Fa%2Fphoto.jpg%3Fsig%3D{TOKEN} is gone", f'<a href="https://bucket.example/a/photo.jpg?a=b&amp;sig={TOKEN}">',
]  # fmt: skip


@pytest.mark.parametrize("message", QUOTED)
def test_a_message_of_a_platform_keeps_its_words_and_the_place_and_loses_what_opens_it(message):
    shown = without_queries(message)
    assert TOKEN not in shown and "photo.jpg" in shown
    assert without_queries(shown) == shown
    for text in (
        "Why? a=b",
        "100 % of C# = fine?",
        "see https://shop.example/spring.",
        "mail a@shop.example?",
        "is a=b?c",
    ):
        assert without_queries(text) == text


def test_no_display_report_workbook_or_error_has_the_query_of_an_address_in_a_message(sandbox, tmp_path, caplog):
    with vx.connect(sandbox=sandbox) as ws:
        triaged = vx.triage(ws.posts(status=["failed", "partial"]).head(20))
        texts = pd.array([QUOTED[row % len(QUOTED)] for row in range(len(triaged))], dtype="string")
        triaged = vx.triage(
            triaged.drop(columns=["cause", "verdict", "remedy", "retryable"]).assign(error_message=texts)
        )
        run = ws.run(vx.plan_retry(triaged.assign(retryable=True).head(4))).wait(60)
        results = run.results().assign(error_message=QUOTED[0], waiting_for=QUOTED[1], reason=QUOTED[2])
        causes = vx.causes(triaged)
        report = vx.report(triaged)
        report.to_html(tmp_path / "a.html")
        report.to_csv(tmp_path / "csv")
        report.to_excel(tmp_path / "a.xlsx")
        vx.to_excel(
            tmp_path / "b.xlsx", rows=triaged, results=results, mend=run.to_mend().assign(error_message=QUOTED[0])
        )
        shown = [
            text
            for each in (*map(vx.view, (triaged, causes, results)), report)
            for text in (repr(each), each._repr_html_())
        ]
        shown += [path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".xlsx"]
        shown += [
            *report.tickets().values(),
            *sheets(tmp_path / "a.xlsx"),
            *sheets(tmp_path / "b.xlsx"),
            ws.panel(triaged)._repr_html_(),
        ]
        moved = Transition(run.snapshot.started_at, "post_1", "x", "pending", "failed", QUOTED[0])
        state = replace(run.snapshot, waits={QUOTED[1]: 3}, recent=(moved,), note=QUOTED[2])
        shown += [render_text(state), render_html(state)]
    assert "".join(shown).count("photo.jpg") > 50, "the place is told"
    assert not [text for text in shown if TOKEN in text]


def test_no_error_of_the_api_has_the_query_of_an_address(caplog):
    refused = answer(json.dumps({"error": {"code": "BAD_MEDIA", "message": QUOTED[0]}}).encode(), "400 No")
    with (
        caplog.at_level(logging.DEBUG),
        serve(refused) as server,
        pytest.raises(ApiError, match=r"photo\.jpg") as caught,
    ):
        asked(server.url, lambda client: client.posts.get("post_1"))
    assert TOKEN not in "".join(format_exception(caught.value)) + caplog.text


def test_addresses_of_one_host_are_told_apart():
    hooks = [f"https://hooks.slack.com/services/T0{n}AAAAAAAA/B0{n}BBBBBBB" for n in range(3)]
    assert len({redact_address(url) for url in hooks}) == 3
