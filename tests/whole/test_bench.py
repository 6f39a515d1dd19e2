"""The benchmarks run; what they measure is asserted nowhere, what they count is."""

from __future__ import annotations

from tests.bench import jobs


def test_watching_is_counted_at_the_server():
    told = jobs.watching(20)
    assert told["posts"] == 20
    assert told["bound"] <= told["requests"] < told["polling_each"]


def test_a_retry_of_many_is_counted_under_the_rate_limit():
    told = jobs.pacing(40, limit=60)
    assert told["retries"] >= 40
    assert told["refused_429"] <= 1
    assert set(told["outcomes"]) <= {"succeeded", "failed"}
