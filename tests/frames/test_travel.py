"""Every public frame through Parquet, Polars, DuckDB and Arrow's own stream, and back: same dtypes, same cells, same keys."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from _frames import FRAMES, scene
from hypothesis import given
from hypothesis import strategies as st
from tests.frames.makers import ODD, some_posts, two_posts

import voxops as vx
from voxops.acts.retry import plan_retry
from voxops.analysis.triage import triage
from voxops.archive import Archive
from voxops.errors import ConfigError, PlanError
from voxops.frames.arrow import from_arrow
from voxops.frames.nested import JsonArray, Targets, TargetsArray
from voxops.frames.packing import pack, unpack
from voxops.frames.records import build

# Warnings of pandas about the other tools' internals.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")


def _duckdb(frame: pd.DataFrame) -> Any:
    with duckdb.connect() as connection:
        return connection.sql("SELECT * FROM frame").to_arrow_table()


def _polars(frame: Any) -> Any:
    import polars as pl  # takes most of a second, which every worker would wait for

    return pl.DataFrame(frame)


WAYS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "parquet": lambda frame: pd.read_parquet(BytesIO(frame.to_parquet())), "polars": _polars, "duckdb": _duckdb,
    "stream": lambda frame: pa.RecordBatchReader.from_stream(frame).read_all(),
}  # fmt: skip


@pytest.fixture(scope="module")
def frames() -> Iterator[dict[str, pd.DataFrame]]:
    """Every frame that a user can hold, of one small campaign."""
    with scene() as context:
        yield {name: make(context) for name, (_, make) in FRAMES.items()}


@pytest.mark.parametrize("name", FRAMES)
def test_it_comes_back_as_it_was(frames, name):
    frame = frames[name]
    for whole in (frame, frame.iloc[:0]):
        for way, travel in WAYS.items():
            back = from_arrow(travel(whole), like=whole)
            pd.testing.assert_frame_equal(back, whole.reset_index(drop=True), obj=f"{name} by {way}")
            assert back.dtypes.astype(str).to_dict() == whole.dtypes.astype(str).to_dict()
            assert back.attrs == whole.attrs


@pytest.mark.parametrize("name", FRAMES)
def test_it_is_converted_to_the_types_of_arrow_and_to_plain_records(frames, name):
    frame = frames[name]
    for whole in (frame, frame.iloc[:0]):
        arrow = whole.copy().convert_dtypes(dtype_backend="pyarrow")  # pandas before 3.1.1 writes into the frame
        assert arrow.shape == whole.shape
        assert {str(dtype) for dtype in arrow.dtypes if not isinstance(dtype, pd.ArrowDtype)} <= {"object", "category"}
    records = frame.to_dict("records")
    kept = {head for row in records for head, value in row.items() if value is pd.NA or isinstance(value, tuple)}
    assert kept <= {"targets"} if name == "exploded posts" else not kept  # one target is a named tuple
    assert all(value is not pd.NaT for row in plain_records(frame) for value in row.values())


def plain_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """As docs/how-to/service.md has it."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def test_missing_times_are_none_in_plain_records_and_the_rest_is_as_it_was(frames):
    posts = frames["posts"]
    plain = plain_records(posts)
    assert [row["scheduled_for"] is None for row in plain] == posts["scheduled_for"].isna().to_list()
    assert 0 < posts["scheduled_for"].isna().sum() < len(posts)
    for name in ("targets", "tags", "metadata", "post_id", "failed_targets"):
        assert [row[name] for row in plain] == posts[name].to_list()


@pytest.mark.parametrize("way", [*WAYS, "packed"])
def test_tags_are_lists_wherever_they_come_from(frames, way):
    for name in ("posts", "archived posts", "plan of a cancel"):
        posts = frames[name]
        back = unpack(pack(posts)) if way == "packed" else from_arrow(WAYS[way](posts), like=posts)
        for each in (posts, back):
            assert {type(tags) for tags in each["tags"]} == {list}
        assert back["tags"].to_list() == posts["tags"].to_list()
        assert any(posts["tags"])


def test_no_public_frame_is_missing():
    """Whatever says that it returns a frame is in the list above."""
    holders = {
        "vx": vx, "vx.deliveries": vx.deliveries, "vx.webhooks": vx.webhooks, "ws": vx.Workspace, "run": vx.Run,
        "archive": Archive, "plan": vx.Plan,
    }  # fmt: skip
    found = set()
    for holder, owner in holders.items():
        for name in getattr(owner, "__all__", None) or dir(owner):
            member = getattr(owner, name)
            member = member.fget if isinstance(member, property) else member
            if not name.startswith("_") and callable(member) and not isinstance(member, type):
                returned = str(getattr(member, "__annotations__", {}).get("return"))
                if returned in {"pd.DataFrame", "pandas.DataFrame"}:
                    found.add(f"{holder}.{name}")
    assert found ^ {call for call, _ in FRAMES.values()} == set(), "add these frames to the table, or take them out"


def keys(plan: vx.Plan) -> list[str]:
    return plan.frame["idempotency_key"].fillna("").tolist()


@pytest.mark.parametrize("way", WAYS)
def test_the_same_keys_are_planned(frames, way):
    plans = {"triaged": vx.plan_retry, "posts": vx.plan_cancel, "deliveries": vx.plan_redeliver}
    plans |= {"archived deliveries": vx.plan_redeliver, "archived posts": vx.plan_cancel}
    for name, planner in plans.items():
        frame = frames[name].iloc[::2].copy()  # DuckDB does not read columns with gaps in memory
        back = from_arrow(WAYS[way](frame), like=frame)
        assert keys(planner(back)) == keys(planner(frame))
    posts = frames["posts"]
    for back in (from_arrow(WAYS[way](posts)), pd.read_parquet(BytesIO(posts.to_parquet()))):
        again, first = vx.plan_retry(vx.triage(vx.targets(back))), vx.plan_retry(frames["triaged"])
        assert keys(again) == keys(first)


@given(st.lists(st.sampled_from(ODD), max_size=4), st.lists(st.sampled_from(ODD), max_size=4))
def test_whatever_the_server_sends_travels(metadata, tags):
    records = [{"id": "p", "metadata": each, "tags": tags, "platforms": [each]} for each in metadata]
    posts = build("posts", records)
    for way, travel in WAYS.items():
        back = from_arrow(travel(posts), like=posts)
        assert list(back["metadata"]) == list(posts["metadata"]), way
        assert list(back["targets"]) == list(posts["targets"]), way


def test_selecting_joining_and_changing_keeps_targets_what_they_are():
    posts = some_posts(9)
    pieces = pd.concat([posts.sort_values("post_id", ascending=False), posts.iloc[::3]])
    for kept in (pieces, posts.merge(posts[["post_id"]])):
        assert isinstance(kept["targets"].array, TargetsArray)
    missing = posts.set_index("post_id")["targets"].reindex(["p3", "nowhere"])
    assert missing.isna().tolist() == [False, True]
    assert missing.iloc[0] == posts["targets"][3]
    changed = posts.copy()
    changed.loc[changed["post_id"] == "p1", "targets"] = None
    assert [frame["targets"].isna().sum() for frame in (posts, changed)] == [0, 1]
    lengths = posts["targets"].map(len)
    assert (lengths.tolist(), str(lengths.dtype)) == ([number % 4 for number in range(9)], "int64")
    assert str(posts["targets"].map(bool).dtype) == "bool"
    assert all(isinstance(cell, Targets) for cell in posts["targets"].astype(object))


def test_json_cells_that_differ_have_one_type():
    cells = JsonArray._from_sequence([{}, {"a": 1}, {"a": "x"}, [1, "y"], None, "text"])
    table = pa.table(pd.DataFrame({"metadata": cells}))
    assert table.schema.field("metadata").type == pa.string()
    assert list(from_arrow(table)["metadata"]) == list(cells)


def test_numbers_and_times_stay_what_they_are():
    most = 2**63 - 1
    columns = {
        "categories": pd.Categorical([1, None]), "unsigned": pd.array([most, None], dtype="UInt64"),
        "nanoseconds": pd.to_datetime([1_999, -1], unit="ns", utc=True),
    }  # fmt: skip
    back = from_arrow(pd.DataFrame(columns))
    assert back.dtypes.astype(str).to_list() == ["Int64", "Int64", "datetime64[us, UTC]"]
    assert back[["categories", "unsigned"]].T.to_numpy().tolist() == [[1, pd.NA], [most, pd.NA]]
    assert back["nanoseconds"].tolist() == [pd.Timestamp(number, unit="us", tz="UTC") for number in (1, -1)]
    assert from_arrow(pa.table({"a": pa.array([2.5]).dictionary_encode()}))["a"].tolist() == [2.5]


@pytest.mark.parametrize(("table", "said"), [
    ([1], "list can't be read as Arrow"),
    (pa.table({"views": pa.array([2**63], pa.uint64())}), "views contains whole numbers beyond"),
    (pa.table({"at": pa.array([2**60], pa.timestamp("s"))}), "at contains times outside the range"),
    (pa.Table.from_arrays([pa.array([1])] * 2, names=["a", "a"]), "two columns are named 'a'"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are named 'a'"),
    (pd.DataFrame({"ours": [1, "x"]}), "can't be read as Arrow: .*column ours"),
], ids=range(6))  # fmt: skip
def test_what_has_no_form_in_arrow_or_pandas_is_refused_by_name(table, said):
    with pytest.raises(ConfigError, match=said):
        from_arrow(table)


@pytest.mark.parametrize("make", [_polars, pa.Table.from_pydict], ids=["polars", "pyarrow"])
def test_a_frame_of_another_library_is_named_with_the_call_that_reads_it(make):
    frame = make({"delivery_id": ["d1"]})
    whose = f"not a {type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
    with pytest.raises(PlanError, match=rf"{whose}\. Use vx\.from_arrow\(frame\)"):
        triage(frame)
    for use in (plan_retry, vx.view):
        with pytest.raises(PlanError, match=rf"{whose[6:]}; use vx\.from_arrow\(frame\)"):
            use(frame)


def test_times_that_lost_their_zone_on_the_way_get_none_by_guess():
    """Other tools return them in any zone, such as the local one."""
    posts = build("posts", two_posts())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        wall = connection.sql("SELECT post_id, updated_at AT TIME ZONE 'UTC' AS updated_at FROM posts").to_arrow_table()
        zoned = connection.sql("SELECT post_id, updated_at FROM posts").to_arrow_table()
    assert str(from_arrow(wall)["updated_at"].dtype) == "datetime64[us]"
    with pytest.raises(ConfigError, match="the times of updated_at have lost their zone; set it again"):
        from_arrow(wall, like=posts)
    assert from_arrow(zoned, like=posts)["updated_at"].equals(posts["updated_at"])


def test_without_pyarrow_everything_can_be_imported_and_from_arrow_says_what_to_install():
    code = (
        "import sys\n"
        "class Without:\n"
        " def find_spec(self, name, *_):\n"
        "  if name.partition('.')[0] in {'pyarrow', 'duckdb'}: raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from voxops import *\n"
        "import voxops as vx\n"
        "try:\n vx.from_arrow(None)\n"
        "except vx.errors.ConfigError as error:\n print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "vx.from_arrow needs pyarrow: pip install 'voxops[archive]'\n"
