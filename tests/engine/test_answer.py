"""What the answer to one try proves: a pure decision, over every status and code."""

from __future__ import annotations

import itertools

import pytest

from voxops.engine.answer import Answer, judge, leaves_open, may_still_run, says_absent, was_refused
from voxops.errors import NotFoundError

CODES = [
    "",
    "VALIDATION_ERROR",
    "CONFLICT",
    "IDEMPOTENCY_CONFLICT",
    "IDEMPOTENCY_IN_PROGRESS",
    "IDEMPOTENCY_INVALID_KEY",
]


STATUSES = [
    *(199, 200, 201, 202, 207, 299, 300, 301, 399, 400, 401, 402, 403, 404, 408, 409, 410, 422, 428, 429, 430, 499),
    *(500, 502, 503, 504, 599),
]


def meaning(status: int, code: str, *, first_try: bool) -> Answer:
    if status == 429:
        return Answer.THROTTLED
    if 200 <= status < 300:
        return Answer.TAKEN
    if status >= 500 or status < 400 or status == 408 or code in {"IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_IN_PROGRESS"}:
        return Answer.UNKNOWN
    if status == 409 and not code:
        return Answer.UNKNOWN  # it may be about the key
    if status in {401, 402, 403} or code == "IDEMPOTENCY_INVALID_KEY":
        return Answer.STOP
    return Answer.REFUSED if first_try else Answer.UNKNOWN


def test_every_status_has_one_meaning():
    wrong = [
        f"{status} {code} on {'the first' if first_try else 'another'} try: {said.name}, and not {right.name}"
        for status, code, first_try in itertools.product(STATUSES, CODES, [True, False])
        if (said := judge(status, code, first_try=first_try))
        is not (right := meaning(status, code, first_try=first_try))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("status", [199, 207, 302, 400, 401, 403, 404, 406, 408, 410, 422, 429, 451, 499, 502])
def test_a_page_in_place_of_the_api_s_answer_refuses_nothing(status):
    said, unspoken = (judge(status, "", first_try=True, spoken=spoken) for spoken in (True, False))
    assert unspoken is (Answer.UNKNOWN if said is Answer.REFUSED else said)
    assert judge(status, "", first_try=False, spoken=False) is judge(status, "", first_try=False)


@pytest.mark.parametrize("status", [413, 414, 431])
def test_whoever_says_that_a_request_is_too_large_has_not_passed_it_on(status):
    assert judge(status, "", first_try=True, spoken=False) is Answer.REFUSED
    assert judge(status, "", first_try=False, spoken=False) is Answer.UNKNOWN


def test_only_the_api_s_own_word_ends_a_request():
    assert may_still_run("")
    assert may_still_run("IDEMPOTENCY_IN_PROGRESS")
    assert may_still_run("IDEMPOTENCY_CONFLICT")
    assert not may_still_run("INTERNAL_ERROR")


@pytest.mark.parametrize(
    ("status", "answered", "refused"),
    [(399, True, False), (400, True, True), (499, True, True), (404, False, True), (408, True, False), (429, True, False), (409, True, True), (409, False, False),
     (500, True, False), (None, False, False)],
)  # fmt: skip
def test_a_refusal_for_good_is_distinguished_from_one_that_may_pass(status, answered, refused):
    assert was_refused(status, answered=answered) is refused


@pytest.mark.parametrize(
    ("body", "said"),
    [(b'{"error": {"code": "NOT_FOUND"}}', True), (b'{"error": "gone"}', True), (b"<html>not here</html>", False), (b"", False), (b"{}", False), (b"null", False)],
)  # fmt: skip
def test_rule_16_only_an_error_as_json_says_that_a_thing_does_not_exist(body, said):
    assert says_absent(NotFoundError("no", status=404, body=body)) is said


@pytest.mark.parametrize(
    ("code", "open_"),
    [("BAD_GATEWAY", True), ("GATEWAY_TIMEOUT", True), ("INTERNAL_ERROR", True), ("SERVICE_UNAVAILABLE", True), ("TIMEOUT", True), ("VALIDATION_ERROR", False), ("FAILED", False), ("", False), (None, False)],
)  # fmt: skip
def test_rule_15_an_item_that_failed_by_the_server_s_fault_leaves_open_what_was_made(code, open_):
    assert leaves_open(code) is open_
