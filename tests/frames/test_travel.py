"""Every public frame to Arrow, Parquet and plain records; and back with the same cells, and the same keys in a plan."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from _frames import FRAMES, scene
from tests.frames.makers import some_posts

import voxops as vx
from voxops.acts.retry import plan_retry
from voxops.analysis.triage import triage
from voxops.archive import Archive
from voxops.errors import PlanError
from voxops.frames.nested import JsonArray, Targets, TargetsArray
from voxops.frames.packing import pack, unpack

# Warnings of pandas about the other tools' internals.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")


@pytest.fixture(scope="module")
def frames() -> Iterator[dict[str, pd.DataFrame]]:
    """Every frame that a user can hold, of one small campaign."""
    with scene() as context:
        yield {name: make(context) for name, (_, make) in FRAMES.items()}


def by_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.read_parquet(BytesIO(frame.to_parquet()))


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


def test_tags_are_lists_wherever_they_come_from(frames):
    for name in ("posts", "archived posts", "plan of a cancel"):
        posts = frames[name]
        back = unpack(pack(posts))
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


def test_the_same_keys_are_planned_of_a_frame_from_a_file(frames):
    plans = {"triaged": vx.plan_retry, "posts": vx.plan_cancel, "deliveries": vx.plan_redeliver}
    plans |= {"archived deliveries": vx.plan_redeliver, "archived posts": vx.plan_cancel}
    for name, planner in plans.items():
        frame = frames[name].iloc[::2]
        assert keys(planner(by_parquet(frame))) == keys(planner(frame))
    again, first = vx.plan_retry(vx.triage(vx.targets(by_parquet(frames["posts"])))), vx.plan_retry(frames["triaged"])
    assert keys(again) == keys(first)


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


def test_a_frame_of_another_library_is_named_with_the_call_that_converts_it(frames):
    table = pa.table(frames["triaged"][["post_id", "platform", "account_id", "status", "error_code", "error_message"]])
    for use in (triage, plan_retry, vx.view):
        with pytest.raises(PlanError, match=r"(?i)pyarrow\.Table[.;] convert it with frame\.to_pandas\(\)"):
            use(table)
    assert len(vx.view(table.to_pandas()).frame) == len(frames["triaged"])


def test_without_pyarrow_everything_can_be_imported():
    code = (
        "import sys\n"
        "class Without:\n"
        " def find_spec(self, name, *_):\n"
        "  if name.partition('.')[0] in {'pyarrow', 'duckdb'}: raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from voxops import *\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
