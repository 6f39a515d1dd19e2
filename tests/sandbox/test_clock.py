"""The sandbox's clock, as control calls move it: it never runs backwards, and no call breaks it for those that follow."""

from __future__ import annotations

import httpx
import pytest


@pytest.mark.parametrize(
    ("call", "body", "said"),
    [
        ("speed", {"speed": -5}, "speed must be a number from 0, in virtual seconds per second, not -5.0"),
        ("speed", {"speed": "nan"}, "speed must be a number from 0, in virtual seconds per second, not nan"),
        ("speed", {"speed": "inf"}, "speed must be a number from 0, in virtual seconds per second, not inf"),
        ("speed", [], "the body must be an object, not list"),
        ("advance", {"seconds": -1}, "the clock can't go back by 1.0 s"),
        ("advance", {"seconds": 1e12}, "the clock can't go on by 1000000000000.0 s: it would leave the calendar"),
        ("advance", {"seconds": "inf"}, "the clock can't go on by inf s: it would leave the calendar"),
        ("advance", {"seconds": "nan"}, "the clock can't go on by nan s: it would leave the calendar"),
        ("advance", [], "the body must be an object, not list"),
        ("advance", {}, "missing a required argument: 'seconds'"),
        ("advance", {"seconds": 1, "minutes": 1}, "got an unexpected keyword argument 'minutes'"),
        ("reset", [], "the body must be an object, not list"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused_and_changes_nothing(sandbox, call, body, said):
    before = httpx.get(f"{sandbox.url}/_sandbox/state").json()["now"]
    answer = httpx.post(f"{sandbox.url}/_sandbox/{call}", json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": said})
    assert httpx.get(f"{sandbox.url}/_sandbox/state").json()["now"] == before
