"""The recipes of docs/how-to/recipes.md do what the page says they do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import pytest
from tests.docs import DOCS, blocks

import voxops as vx

BEGINNING, SLOTS, LINKS, COMPARED, WORTH_A_LOOK = blocks(DOCS / "how-to" / "recipes.md", "{code-cell}")


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the first cell of the page defines."""
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(BEGINNING, found)
    yield found
    found["ws"].close()


def test_rows_without_a_time_get_the_free_mornings_also_when_the_clocks_change(names):
    exec(SLOTS, names)
    sheet = names["sheet"]
    assert sheet["scheduled_for"].tolist() == [
        "2026-03-26T09:00:00+01:00", "2026-03-27T09:00+01:00", "2026-03-30T09:00:00+02:00", "2026-03-31T09:00:00+02:00",
    ]  # fmt: skip
    assert vx.plan_create(sheet, key="row_id", campaign="spring").eligible == len(sheet)
    before = sheet.copy()
    exec(SLOTS, names)
    pd.testing.assert_frame_equal(sheet, before)


def test_links_get_the_parameters_that_they_do_not_have_once(names):
    tagged = [
        "Menu: https://alder.example/?utm_source=social&utm_campaign=spring.",
        "Cupping.",
        "Open late: https://alder.example/?day=5&utm_source=social&utm_campaign=spring#hours",
        "Cake. https://alder.example/?utm_source=flyer&utm_campaign=spring",
    ]
    for _ in range(2):
        exec(LINKS, names)
        assert names["sheet"]["content"].tolist() == tagged
        own = names["sheet"]["content:twitter"]
        assert own.dropna().tolist() == ["https://alder.example/?utm_source=x&utm_campaign=spring"]
        assert own.isna().tolist() == [False, True, True, True]


def test_two_mornings_are_joined_by_target(names):
    exec(COMPARED + WORTH_A_LOOK, names)
    before, after = (
        names[day].set_index(["post_id", "platform", "account_id"])["status"].to_dict() for day in ("monday", "tuesday")
    )
    pairs = Counter((before.get(key, "absent"), after.get(key, "absent")) for key in before | after)
    assert pairs["failed", "published"] > 0, "the retry has mended some"
    assert pairs["failed", "failed"] > 0
    assert names["status"].value_counts().to_dict() == pairs
    assert names["still"].sum() == pairs["failed", "failed"]
    assert (~names["still"]).sum() == sum(count for (was, now), count in pairs.items() if now == "failed" != was)
