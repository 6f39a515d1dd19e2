"""Every public frame through Parquet, Polars, DuckDB and Arrow's own stream, and back: same dtypes, same cells, same keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.frames.makers import ODD, some_posts, two_posts

import voxops as vx
from voxops import from_arrow
from voxops.errors import ConfigError
from voxops.frames import Targets, build
from voxops.frames.nested import JsonArray, TargetsArray
from voxops.sandbox import Sandbox

# Of pandas, about what the other tools do inside.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")


def _duckdb(frame: pd.DataFrame) -> Any:
    with duckdb.connect() as connection:
        return connection.sql("SELECT * FROM frame").to_arrow_table()


WAYS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "parquet": lambda frame: pd.read_parquet(BytesIO(frame.to_parquet())),
    "polars": pl.DataFrame,
    "duckdb": _duckdb,
    "stream": lambda frame: pa.RecordBatchReader.from_stream(frame).read_all(),
}
CAMPAIGN = pd.DataFrame({"row_id": ["a", "b"], "content": ["x", "y"], "accounts": "acc_1"}, dtype="string")
CAMPAIGN["scheduled_for"] = pd.array(["2026-03-05T09:00Z", None], dtype="string")
for _name in ("media", "first_comment", "tags"):
    CAMPAIGN[_name] = pd.array([None, None], dtype="string")


@pytest.fixture(scope="module")
def frames() -> Iterator[dict[str, pd.DataFrame]]:
    """Every frame that a user can hold, of one small campaign."""
    with (
        Sandbox(seed=7, speed=0, rate_limit=None, posts=60, deliveries=100) as sandbox,
        vx.connect(sandbox=sandbox) as ws,
    ):
        posts, log = ws.posts(), ws.deliveries()
        triaged = vx.triage(vx.targets(posts))
        run = ws.run(vx.plan_retry(triaged).canary(1))
        run.wait()
        yield {
            "posts": posts,
            "no posts": posts.iloc[:0],
            "exploded posts": posts.explode("targets", ignore_index=True),
            "targets": vx.targets(posts),
            "triaged": triaged,
            "causes": vx.causes(triaged),
            "deliveries": log,
            "statistics": vx.delivery_stats(log, by=["day", "endpoint"]),
            "survival": vx.attempts_to_success(log),
            "outages": vx.outages(log),
            "duplicates": vx.duplicates(log),
            "never delivered": vx.never_delivered(log),
            "accounts": ws.accounts(),
            "checked accounts": ws.check_accounts(),
            "webhooks": ws.webhooks(),
            "plan of a retry": vx.plan_retry(triaged).frame,
            "plan of a cancel": vx.plan_cancel(posts[posts["status"] == "scheduled"]).frame,
            "plan of creates": vx.plan_bulk(CAMPAIGN, key="row_id").frame,
            "results": run.results(),
            "runs": ws.runs().reset_index(),
            "ledger": ws.ledger(),
            "events": vx.events([{"type": "post.published", "data": {"id": "p", "platforms": [{"platform": "x"}]}}]),
            "checked campaign": vx.check_campaign(CAMPAIGN),
            "matrix": vx.matrix(),
        }


@pytest.mark.parametrize("way", WAYS)
def test_it_comes_back_as_it_was(frames: dict[str, pd.DataFrame], way: str) -> None:
    for name, frame in frames.items():
        back = from_arrow(WAYS[way](frame), like=frame)
        pd.testing.assert_frame_equal(back, frame.reset_index(drop=True), obj=f"{name} by {way}")
        assert {column: str(dtype) for column, dtype in back.dtypes.items()} == {
            column: str(dtype) for column, dtype in frame.dtypes.items()
        }
        assert back.attrs == frame.attrs


def keys(plan: vx.Plan) -> list[str]:
    return plan.frame["idempotency_key"].fillna("").tolist()


@pytest.mark.parametrize("way", WAYS)
def test_the_same_keys_are_planned(frames: dict[str, pd.DataFrame], way: str) -> None:
    plans = {"triaged": vx.plan_retry, "posts": vx.plan_cancel, "deliveries": vx.plan_redeliver}
    for name, planner in plans.items():
        frame = frames[name].iloc[::2].copy()  # DuckDB does not read columns with gaps in memory
        back = from_arrow(WAYS[way](frame), like=frame)
        assert keys(planner(back)) == keys(planner(frame))
    posts = frames["posts"]
    for back in (from_arrow(WAYS[way](posts)), pd.read_parquet(BytesIO(posts.to_parquet()))):
        again, first = vx.plan_retry(vx.triage(vx.targets(back))), vx.plan_retry(frames["triaged"])
        assert keys(again) == keys(first)


def test_other_tools_see_lists_and_structs() -> None:
    posts = two_posts()
    exploded = pl.DataFrame(posts).explode("targets").unnest("targets", separator=".")
    assert exploded["targets.platform"].to_list()[:3] == ["twitter", "bluesky", "threads"]
    with duckdb.connect() as connection:
        found = connection.sql(
            "SELECT len(targets), list_transform(targets, lambda t: t.platform) FROM posts"
        ).fetchall()
    assert found == [(3, ["twitter", "bluesky", "threads"]), (0, [])]


@given(st.lists(st.sampled_from(ODD), max_size=4), st.lists(st.sampled_from(ODD), max_size=4))
def test_whatever_the_server_sends_travels(metadata: list[Any], tags: list[Any]) -> None:
    records = [{"id": "p", "metadata": each, "tags": tags, "platforms": [each]} for each in metadata]
    posts = build("posts", records)
    for way, travel in WAYS.items():
        back = from_arrow(travel(posts), like=posts)
        assert list(back["metadata"]) == list(posts["metadata"]), way
        assert list(back["targets"]) == list(posts["targets"]), way


def test_selecting_joining_and_changing_keeps_targets_what_they_are() -> None:
    posts = some_posts(9)
    pieces = pd.concat([posts.sort_values("post_id", ascending=False), posts.iloc[::3]])
    assert isinstance(pieces["targets"].array, TargetsArray)
    assert isinstance(posts.merge(posts[["post_id"]])["targets"].array, TargetsArray)
    missing = posts.set_index("post_id")["targets"].reindex(["p3", "nowhere"])
    assert missing.isna().tolist() == [False, True]
    assert missing.iloc[0] == posts["targets"][3]
    changed = posts.copy()
    changed.loc[changed["post_id"] == "p1", "targets"] = None
    assert changed["targets"].isna().sum() == 1
    assert posts["targets"].isna().sum() == 0
    assert posts["targets"].map(len).tolist() == [number % 4 for number in range(9)]
    assert all(isinstance(cell, Targets) for cell in posts["targets"].astype(object))


def test_json_cells_that_differ_have_one_type() -> None:
    cells = JsonArray._from_sequence([{}, {"a": 1}, {"a": "x"}, [1, "y"], None, "text"])
    table = pa.table(pd.DataFrame({"metadata": cells}))
    assert table.schema.field("metadata").type == pa.string()
    assert list(from_arrow(table)["metadata"]) == list(cells)


def test_what_is_not_arrow_is_refused() -> None:
    with pytest.raises(ConfigError, match="list can't be read as Arrow"):
        from_arrow([1])
