"""An error in a notebook is the user's own line and one sentence, not the stack of a library."""

from __future__ import annotations

import copy
import pickle
import traceback

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

import voxops as vx
from voxops import errors
from voxops.errors import ConfigError, PlanError, VoxopsError


@pytest.fixture(scope="module")
def shell():
    shell = InteractiveShell()
    shell.run_cell("import pandas as pd\nimport voxops as vx\nfrom voxops.errors import *")
    return shell


@pytest.fixture
def shown(shell, capsys):
    def run(cell: str) -> str:
        capsys.readouterr()
        assert not shell.run_cell(cell).success
        caught = capsys.readouterr()
        return (caught.out + caught.err).strip()

    return run


STEP = "def step(frame):\n    return vx.triage(frame)\n\npd.Series([1]).map(lambda _: step(pd.DataFrame()))"


@pytest.mark.parametrize(
    ("cell", "places"),
    [
        ("frame = pd.DataFrame()\nvx.triage(frame)", ["cell, line 2", "PlanError"]),
        (STEP, ["cell, line 4", "cell, line 4", "cell, line 2", "PlanError"]),
    ],
)
def test_ipython_shows_the_user_s_own_lines_and_the_message(shown, cell, places):
    text = shown(cell)
    assert [line.split(":")[0] for line in text.splitlines()] == places
    assert "PlanError: triage() needs posts or targets" in text and "pandas" not in text
    assert "Traceback" in shown("1 / 0"), "other errors keep their stack"


def test_a_key_in_the_line_is_not_repeated(shown):
    text = shown('vx.connect("vb_live_0123456789abcdef", url="http://api.example.com")')
    assert "ConfigError" in text and "vb_live_…" in text
    assert "0123456789" not in text


def test_plain_python_is_as_it_was():
    with pytest.raises(VoxopsError) as caught:
        vx.triage(pd.DataFrame())
    text = "".join(traceback.format_exception(caught.value))
    assert text.startswith("Traceback (most recent call last):")
    assert "voxops" in text.split("Traceback", 1)[1].split("VoxopsError")[0]
    assert isinstance(caught.value, PlanError)


ERRORS = [
    *(kind("why") for kind in (VoxopsError, ConfigError, PlanError, errors.LedgerError)),
    errors.TransportError("why", sent=False),
    errors.DecodeError("why", endpoint="GET /v1/posts", status=200, body=b"<html>"),
    *(
        getattr(errors, f"{kind}Error")("why", status=400, code="ODD", details={"a": "b"}, request_id="r", body=b"{}")
        for kind in ("Api", "Auth", "NotFound", "Conflict", "Validation", "Server")
    ),
    errors.RateLimitError("why", status=429, retry_after=3.5),
    errors.WaitTooLong("why", seconds=900.0),
    errors.RunNotFound("why"),
]


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_of_every_kind_reach_another_process_as_they_are(way):
    for error in ERRORS:
        error.add_note("a note")
        back = way(error)
        assert type(back) is type(error)
        assert (back.args, str(back), vars(back)) == (error.args, str(error), vars(error))
    assert {type(error).__name__ for error in ERRORS} == set(errors.__all__)
