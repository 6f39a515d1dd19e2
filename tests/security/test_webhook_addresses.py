"""The address of a webhook is a password, in whatever form its token is written: only what is known to be a word is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops._support.safe import redact_address, redact_addresses, short_address

TOKENS = [
    "kGz9XW3vTq1LwYb7RmN2pQsD",
    "kGz9XW3vTq1LwYb",  # 15 characters
    "kGz9XW3v",
    "kGzXvTqLwYbRmNpQsDfHjKl",  # letters alone
    "qkzxwvtqlwybrmnpshdfjkl",
    "hunter",
    "92837465018273645501",  # digits alone
    "92837",
    "%6B%47%7A%39%58%57%33%76",
    "kGz9%20XW3vTq1LwYb7",
    "kGz9;XW3vTq1LwYb7",
    "kGz9!XW3vTq1LwYb7",
    "kGz9(XW3vTq1LwYb7)",
    "kGz9$XW3vTq1LwYb7",
    "kGz9|XW3vTq1LwYb7",
    "kGz9'XW3vTq1LwYb7",
    "kGz9,XW3vTq1LwYb7",
    "kGz9*XW3vTq1LwYb7",
    "kGz9&XW3vTq1LwYb7",
    "kGz9XW…3vTq1LwYb7",
    "kGz9-XW3v-Tq1L-wYb7",
    "hook-kGz9XW3vTq1LwYb7",
    "schlüssel-wörter-geheim",
    "user@kGz9XW3vTq1L",
    "99:kGz9XW3vTq1L",
]
FORMS = [
    "https://hooks.example/in/{}",
    "https://hooks.example/{}/in",
    "https://hooks.example/in;token={}",
    "https://hooks.example/in?key={}",
    "https://hooks.example/in#{}",
    "https://user:{}@hooks.example/in",
    "wss://hooks.example/{}",
    "//hooks.example/{}",
    "hook:{}",
]
HOSTS = [
    "https://{}.hooks.example/in",
    "https://a.{}.pipedream.net",
    "https://hooks.example;{}/in",
    "https://hooks.example:{}/",
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_token_is_shown_whole(form: str, token: str) -> None:
    address = form.format(token)
    for shown in (redact_address(address), short_address(address)):
        assert token not in shown
        assert not any(token[at : at + 5] in shown for at in range(len(token) - 4))
    if "://" in address:
        text = redact_addresses(f"refused: '{address}', again")
        assert not any(token[at : at + 5] in text for at in range(len(token) - 4))
        assert text.endswith("', again")


@pytest.mark.parametrize("form", HOSTS)
@pytest.mark.parametrize("token", ["kGz9XW3vTq1LwYb7RmN2pQsD", "qkzxwvtqlwybrmnpshdfjkl", "eo1a2b3c4d5e6f", "hunter"])
def test_a_token_in_the_name_of_the_host_is_cut(form: str, token: str) -> None:
    assert token[:5].lower() not in redact_address(form.format(token)).lower()


@given(st.text(min_size=5, max_size=40).filter(lambda text: not text.isdigit()))
def test_of_a_text_that_is_no_word_at_most_four_characters_are_seen(token: str) -> None:
    part = f"x{token}".replace("/", "").replace("?", "").replace("#", "")
    shown = redact_address(f"https://hooks.example/in/{part}").removeprefix("https://hooks.example/in/")
    assert len(shown) <= 4 + len("…?…") or shown == part.lower()


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.aldercoffee.example/voxburst",
        "https://alerts.aldercoffee.example/on-call",
        "https://ingest.northpeak.example/v2/social",
        "https://shop.example/hooks/new-orders-for-the-warehouse",
        "http://127.0.0.1:8080/hook",
        "http://[::1]:8080/hook",
        "http://localhost:9/api/v1/events.json",
        "https://hook.eu1.make.com/",
    ],
)
def test_words_and_short_numbers_stay(address: str) -> None:
    assert redact_address(address) == address
