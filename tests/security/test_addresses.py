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
from voxops.views.view import render_html, render_text

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


@pytest.mark.parametrize(("url", "host"), ADDRESSES)
def test_an_address_as_it_is_shown(url, host):
    shown = redact_address(url)
    assert re.fullmatch(rf"{re.escape(host)}/…#[0-9a-f]{{8}}", shown)
    assert redact_address(shown) == shown


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_token_is_shown_whole(form):
    for token in TOKENS:
        address = form.format(token)
        shown = redact_address(address)
        if "://" in address:
            shown += redact_addresses(f"refused: '{address}', again")
            assert shown.endswith("', again")
        assert not any(token[at : at + 5] in shown for at in range(len(token) - 4)), shown


@pytest.mark.parametrize("scheme", ["https", "s3", "SFTP", "amqp+tls", "socks5h"])
def test_an_address_of_any_scheme_is_found_in_a_text(scheme):
    address = f"{scheme}://hooks.example/{TOKEN}"
    assert redact_addresses(f"<{address}>") == f"<{redact_address(address)}>"


@pytest.mark.parametrize("form", HOSTS)
@pytest.mark.parametrize("token", [TOKEN, "qkzxwvtqlwybrmnpshdfjkl", "eo1a2b3c4d5e6f", "hunter"])
def test_a_token_in_the_name_of_the_host_is_cut(form, token):
    assert token[:5].lower() not in redact_address(form.format(token)).lower()


@given(st.text())
def test_any_text_can_be_an_address(text):
    assert len(redact_address(f"https://hooks.example/{text}")) < 40
    assert isinstance(redact_address(text), str)


def sheets(path):
    """All texts of a workbook."""
    return [str(cell) for rows in tables(path).values() for row in rows for cell in row]


def write(report, folder):
    """Write a report in every form."""
    report.to_html(folder / "a.html")
    report.to_csv(folder / "csv")
    report.to_excel(folder / "a.xlsx")


def everything(*things, files=()):
    """All texts that displays of these things and files show."""
    shown = [text for each in things for text in (repr(each), each._repr_html_())]
    for path in files:
        shown += sheets(path) if path.suffix == ".xlsx" else [path.read_text()]
    return shown


def test_no_report_no_view_no_workbook_and_no_command_shows_a_token(sandbox, tmp_path, monkeypatch, capsys):
    with vx.connect(sandbox=sandbox) as ws:
        log = ws.deliveries(since="30D")
    urls = pd.Series([url for url, _ in ADDRESSES if TOKEN in url] * len(log), dtype="string").head(len(log))
    log = log.assign(url=urls, error="refused by " + urls, response_body="moved to " + urls)
    log["status_code"] = log["status_code"].where(log["success"])  # so that outages show errors
    lost, outages = vx.deliveries.lost(log), vx.deliveries.outages(log, at_least=1)
    assert outages["symptom"].str.contains(TOKEN).any()
    redelivered = log[["delivery_id", "url"]].head(3).assign(outcome="failed", error_message=log["error"], run="run_1")
    views = map(vx.view, (log, lost, outages, vx.deliveries.stats(log, by="endpoint"), redelivered))
    report = vx.report(log)
    write(report, tmp_path)
    vx.to_excel(tmp_path / "b.xlsx", log=log, plan=vx.plan_redeliver(lost.head(5)))
    monkeypatch.setattr(vx.Workspace, "deliveries", lambda *_, **__: log)
    main(["deliveries", "--sandbox", "--since", "30D"])
    shown = [capsys.readouterr().out, *everything(*views, report, files=tmp_path.rglob("*.*"))]
    assert all("slack.com/…#" in text for text in shown[:3]), "of the command, and of the first view"
    assert sum("slack.com/…#" in text for text in shown) > 100, "in the workbooks, too"
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
        rows = pd.DataFrame({"row_id": range(len(MEDIA)), "content": "text", "accounts": account, "media": MEDIA})
        rows.assign(scheduled_for="2027-05-05T09:00Z").to_csv(tmp_path / "sheet.csv", index=False)
        sheet = vx.read_campaign(tmp_path / "sheet.csv")
        uploaded = ws.upload(sheet)
        plans = [vx.plan_create(each, key="row_id", campaign="addresses") for each in (sheet, uploaded)]
        run = ws.run(plans[1]).wait(60)
        frames = [sheet, uploaded, ws.check(sheet), run.results(), run.to_mend(), ws.runs()]
        shown = everything(*map(vx.view, frames), *plans, run)
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


@pytest.mark.parametrize(
    "text", ["Why? a=b", "100 % of C# = fine?", "see https://shop.example/spring.", "mail a@shop.example?", "is a=b?c"]
)
def test_a_message_that_opens_nothing_stays(text):
    assert without_queries(text) == text


def test_no_display_report_or_workbook_has_the_query_of_an_address_in_a_message(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox) as ws:
        failed = vx.targets(ws.posts(status=["failed", "partial"]).head(20))
        texts = pd.array((QUOTED * len(failed))[: len(failed)], dtype="string")
        triaged = vx.triage(failed.assign(error_message=texts))
        run = ws.run(vx.plan_retry(triaged.assign(retryable=True).head(4))).wait(60)
        results = run.results().assign(error_message=QUOTED[0], waiting_for=QUOTED[1], reason=QUOTED[2])
        report, mend = vx.report(triaged), run.to_mend().assign(error_message=QUOTED[0])
        write(report, tmp_path)
        vx.to_excel(tmp_path / "b.xlsx", rows=triaged, results=results, mend=mend)
        views = map(vx.view, (triaged, vx.causes(triaged), results))
        shown = everything(*views, report, ws.panel(triaged), files=tmp_path.rglob("*.*"))
        moved = Transition(run.snapshot.started_at, "post_1", "x", "pending", "failed", QUOTED[0])
        state = replace(run.snapshot, waits={QUOTED[1]: 3}, recent=(moved,), note=QUOTED[2])
        shown += [*report.tickets().values(), render_text(state), render_html(state)]
    assert "".join(shown).count("photo.jpg") > 50, "the place is told"
    assert not [text for text in shown if TOKEN in text]


def test_no_error_of_the_api_has_the_query_of_an_address():
    refused = answer(json.dumps({"error": {"code": "BAD_MEDIA", "message": QUOTED[0]}}).encode(), "400 No")
    with serve(refused) as server, pytest.raises(ApiError, match=r"photo\.jpg") as caught:
        asked(server.url)
    assert TOKEN not in "".join(format_exception(caught.value))


def test_addresses_of_one_host_are_told_apart():
    hooks = [f"https://hooks.slack.com/services/T0{n}AAAAAAAA/B0{n}BBBBBBB" for n in range(3)]
    assert len({redact_address(url) for url in hooks}) == 3
