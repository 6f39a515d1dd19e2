"""What an answer says besides how its try ended: to people, of a row, of what may still run, and of what is not there."""

from __future__ import annotations

from typing import Any

import pytest

from voxops.api.reasons import Reason
from voxops.engine import reduce
from voxops.engine.reduce import Event
from voxops.errors import NotFoundError


def api(code: str, message: str = "m", **details: Any) -> dict[str, Any]:
    """An error in the API's own words."""
    return {"error": {"code": code, "message": message, **({"details": details} if details else {})}}


def test_what_is_shown_are_the_api_s_words_cut_or_a_proxy_s_status() -> None:
    event = Event(402, api("QUOTA_EXCEEDED", "x" * 501))
    assert (event.message, event.said) == ("x" * 500, Reason("answered", status=402, said=" QUOTA_EXCEEDED"))
    assert Event(403).said == Reason("answered_by_proxy", status=403)


def test_a_try_without_an_answer_stops_nothing_and_forbids_no_other() -> None:
    end = reduce.reduce(Event(None))
    assert (end.stops, end.throttled, end.never_again) == (False, False, False)


def test_the_row_that_is_named_counts_from_nought() -> None:
    assert [Event(400, api("NO", field=f"posts[{row}].content")).row for row in (0, 7)] == [0, 7]
    assert Event(400, api("NO")).row is None


@pytest.mark.parametrize(
    ("code", "runs"),
    [("", True), ("INTERNAL_ERROR", False), ("IDEMPOTENCY_CONFLICT", True), ("IDEMPOTENCY_IN_PROGRESS", True)],
)
def test_only_an_error_with_a_code_of_its_own_says_that_a_request_has_ended(code: str, runs: bool) -> None:
    assert reduce.still_runs(Event(500, api(code) if code else None)) is runs


def test_an_item_that_failed_by_the_server_s_own_fault_may_be_there() -> None:
    for code in ("BAD_GATEWAY", "GATEWAY_TIMEOUT", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"):
        assert reduce.leaves_open(code)
    assert not any(map(reduce.leaves_open, ("MEDIA_INVALID", "", None)))


@pytest.mark.parametrize(
    ("body", "absent"), [(b'{"error": {"code": "NOT_FOUND"}}', True), (b"<html>", False), (b"{}", False), (b"", False)]
)
def test_rule_16_only_the_api_s_own_word_says_that_a_thing_does_not_exist(body: bytes, absent: bool) -> None:
    assert reduce.says_absent(NotFoundError("m", status=404, body=body)) is absent


@pytest.mark.parametrize(
    ("body", "data"),
    [(b'{"id": "p"}', {"id": "p"}), (b"[1]", [1]), (b'"no"', "no"), (b"7", None), (b"true", None), (b"<html>", None)],
)
def test_an_answer_is_a_record_a_list_or_a_text(body: bytes, data: Any) -> None:
    assert reduce.decoded(body) == data
