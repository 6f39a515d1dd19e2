"""The benchmarks run; what they measure is asserted nowhere, what they count is."""

from __future__ import annotations

import pytest
from tests.bench import jobs

pytestmark = pytest.mark.release


def test_watching_is_counted_at_the_server():
    measured = jobs.watching(20)
    assert measured["posts"] == 20
    assert measured["bound"] <= measured["requests"] < measured["polling_each"]
