"""The benchmarks run; what they measure is asserted nowhere, what they count is."""

from __future__ import annotations

import pytest
from tests.bench import history, jobs, monday

pytestmark = pytest.mark.release


def test_watching_is_counted_at_the_server():
    measured = jobs.watching(20)
    assert measured["posts"] == 20
    assert measured["bound"] <= measured["requests"] < measured["polling_each"]


def test_the_second_monday_takes_fewer_requests_than_the_first():
    measured = monday.mondays(2_000, 4_000)
    assert measured["second"] < measured["first"]


def test_questions_about_a_history_have_the_digits_of_duckdb(tmp_path):
    history.write(tmp_path, 3000, 2)
    first = history.by_archive(tmp_path)
    assert first == history.by_duckdb(tmp_path)
    assert sum(row[0] for row in first) == history.by_plain_pandas(tmp_path)[0] == 3000
