"""Every public frame to Parquet, CSV, Excel and plain records; and back, with the same keys in a plan or a refusal."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from io import BytesIO, StringIO

import pandas as pd
import pytest
from _frames import FRAMES, scene

import voxops as vx
from voxops.errors import PlanError

# Warnings of pandas about the other tools' internals.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")


@pytest.fixture(scope="module")
def frames():
    """Every frame that a user can hold, of one small campaign."""
    with scene() as context:
        yield {name: make(context) for name, (_, make) in FRAMES.items()}


def by_parquet(frame):
    return pd.read_parquet(BytesIO(frame.to_parquet()))


@pytest.mark.parametrize("name", FRAMES)
def test_it_is_saved_and_converted_to_plain_records(frames, name):
    frame = frames[name]
    for whole in (frame, frame.iloc[:0]):
        assert by_parquet(whole).shape == whole.shape
        assert len(by_csv(whole)) == len(whole)


def keys(plan):
    return plan.frame["idempotency_key"].fillna("").tolist()


def by_csv(frame):
    return pd.read_csv(StringIO(frame.to_csv(index=False)))


@pytest.mark.parametrize("detour", [by_parquet, by_csv])
def test_the_same_keys_are_planned_of_a_frame_from_a_file(frames, detour):
    redeliver = partial(vx.plan_redeliver, force=True)  # a CSV file loses when it was loaded, which tells the age
    plans = {"triaged": vx.plan_retry, "posts": vx.plan_cancel, "deliveries": redeliver}
    plans |= {"archived deliveries": redeliver, "archived posts": vx.plan_cancel}
    for name, planner in plans.items():
        frame = frames[name].iloc[::2]
        assert keys(planner(detour(frame))) == keys(planner(frame)), name


@pytest.mark.parametrize(("name", "planner"), {"triaged": vx.plan_retry, "posts": vx.plan_cancel, "deliveries": vx.plan_redeliver}.items())  # fmt: skip
def test_a_workbook_whose_times_are_local_is_refused_with_the_column(frames, name, planner):
    rows = frames[name].rename(columns=lambda head: f"{head} (Europe/Berlin)" if head.endswith("_at") else head)
    with pytest.raises(PlanError, match=r"missing: .*_at \('\w+_at \(Europe/Berlin\)' of a workbook has local times"):
        planner(rows)


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
