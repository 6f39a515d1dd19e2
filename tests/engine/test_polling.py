"""The interval of polling."""

from __future__ import annotations

import random

import pytest

from voxops.engine.polling import interval


@pytest.mark.parametrize(
    ("look", "pages", "seconds"),
    [(0, 0, 2), (1, 0, 3), (2, 0, 4.5), (30, 0, 30), (10**6, 0, 30), (0, 5, 10), (0, 99, 30)],
)
def test_polling_slows_down_to_half_a_minute_and_takes_time_for_each_page(look, pages, seconds):
    drawn = [interval(look, random.Random(seed), pages) for seed in range(50)]
    assert 0.8 * seconds <= min(drawn) < seconds < max(drawn) <= 1.2 * seconds
