"""Objects bound to a process refuse copy and pickle, and name an alternative."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox


@pytest.fixture
def ws(sandbox: Sandbox) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox) as workspace:
        yield workspace


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_run_and_its_monitor_name_the_id_by_which_they_are_taken_up(ws, how):
    failed = vx.triage(vx.targets(ws.posts(status="failed")))
    run = ws.run(vx.plan_retry(failed.head(1))).wait(60)
    for bound in (run, run._monitor()):
        with pytest.raises(
            TypeError,
            match=rf"can't be copied or pickled, as it belongs to its process; attach it by its id: ws\.attach\('{run.id}'\)",
        ):
            how(bound)


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_watch_is_started_again_and_a_workspace_connected(ws, how):
    watch = ws.watch(ws.posts(status="published", limit=1)).wait(60)
    with pytest.raises(TypeError, match=r"Run can't be copied .* start it again there"):
        how(watch)
    for bound in (ws, ws.aio):
        with pytest.raises(TypeError, match=r"connect there with vx\.connect\(\).*ws\.attach"):
            how(bound)
