"""The tool that breaks the package: what it breaks, that what is broken is found out, and what its kept results say."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.mutants import run
from tests.mutants.files import FILES, ROOT, source_of
from tests.mutants.reasons import REASONS
from tests.mutants.sites import functions, mutants

SAMPLE = b'''
"""A sample."""

LIMIT = 3


class Shop:
    """Sells."""

    def may(self, age: int, known: bool = True) -> bool:
        """Whether one may."""
        if age >= LIMIT and known:
            self.seen = age
            return not self.closed()
        raise ValueError("no entry")

    def find(self, db):
        return db.execute("SELECT 1 FROM rows WHERE state = 'sent' AND id <> ?", (1,))
'''


def test_every_kind_of_decision_is_broken():
    found = mutants(SAMPLE)
    names = {mutant.name for mutant in found}
    assert {
        ": 3 → (4)", "Shop.may: True → (False)", "Shop.may: age >= LIMIT → (age > LIMIT)",
        "Shop.may: age >= LIMIT → (age < LIMIT)", "Shop.may: age >= LIMIT and known → (age >= LIMIT or known)",
        "Shop.may: age >= LIMIT and known → (known)", "Shop.may: self.seen = age → pass",
        "Shop.may: not self.closed() → (self.closed())", "Shop.may: return not self.closed() → return None",
        'Shop.may: raise ValueError("no entry") → pass',
    }<= names  # fmt: skip
    assert sum("SELECT" not in name and "→ OR" in name for name in names) == 1
    assert sum(name.endswith("→ <>") for name in names) == 1
    assert len(names) == len(found), "each has a name of its own"
    for mutant in found:
        changed = mutant.applied(SAMPLE)
        compile(changed, mutant.name, "exec")
        assert changed != SAMPLE


def test_a_digest_changes_with_its_own_function_alone():
    before, after = functions(SAMPLE), functions(SAMPLE.replace(b"age >= LIMIT", b"age > LIMIT"))
    assert {name for name in before if before[name] != after[name]} == {"Shop.may"}
    assert set(before) == {"", "Shop.may", "Shop.find"}


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_decides_has_sites_and_tests(name):
    assert len(mutants(source_of(name))) >= 5
    for pattern in FILES[name]:
        assert list(ROOT.glob(pattern)), f"{pattern} names no test"


def test_what_has_changed_or_was_never_run_is_open_and_the_rest_is_not(monkeypatch):
    monkeypatch.setattr(run, "source_of", lambda _: SAMPLE)
    names = [mutant.name for mutant in mutants(SAMPLE) if mutant.function == "Shop.may"]
    known = {
        "a.py": {"Shop.may": {"digest": functions(SAMPLE)["Shop.may"], "mutants": len(names), "survivors": names[:1]}}
    }
    assert set(run.open_mutants("a.py", known)) == {"", "Shop.find"}
    again = run.open_mutants("a.py", known, again=True)
    assert [mutant.name for mutant in again["Shop.may"]] == names[:1]
    total = run.report(["a.py"], known)
    assert (total.mutants, total.killed, total.survivors) == (len(names), len(names) - 1, [f"a.py: {names[0]}"])
    known["a.py"]["Shop.may"]["digest"] = "another text"
    assert set(run.open_mutants("a.py", known)) == {"", "Shop.may", "Shop.find"}
    assert run.report(["a.py"], known).mutants == 0


TRIED = """
from tests.mutants.control import Control
from tests.mutants.files import source_of
from tests.mutants.judge import Judge
from tests.mutants.sites import Mutant, mutants
name = "api/evidence.py"
tests = ("tests/api/test_evidence.py::test_rule_13_what_is_in_flight_is_moving",)
broken = next(
    each for each in mutants(source_of(name))
    if each.name.startswith("fate_of: state.status not in TERMINAL_STATUSES or")
)
sound = Mutant(broken.function, "nothing", broken.line, broken.last, 0, 0, "")
lines = range(1, 1000)
found = []
for imported in ((), lines):
    judge = Judge(name, Control(dict.fromkeys(lines, tests), tests, {}, frozenset(imported)))
    found += [judge.kills(broken), judge.kills(sound), judge.kills(broken)]
    judge.close()
judge = Judge(name, Control({}, (), {}))
print([*found, judge.kills(broken)])
judge.close()
"""


def test_a_broken_decision_turns_a_test_red_and_a_sound_one_does_not():
    """In a process of its own, which forks; first with other code in a loaded function, then imported anew; what no test runs survives."""
    done = subprocess.run([sys.executable, "-c", TRIED], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == "[True, False, True, True, False, True, False]", done.stderr


def test_kept_results_and_reasons_are_of_files_that_are_broken():
    results = json.loads(run.RESULTS.read_text("utf-8"))
    assert set(results) <= set(FILES)
    assert {name for name, _ in REASONS} <= set(FILES)
    assert all(reason.strip() for reason in REASONS.values())
    said = {
        (name, survivor) for name, entry in results.items() for each in entry.values() for survivor in each["survivors"]
    }
    now = {name: functions(source_of(name)) for name in results}
    stale = {
        name
        for name, entry in results.items()
        if any(now[name].get(key) != each["digest"] for key, each in entry.items())
    }
    assert {reason for reason in REASONS if reason[0] not in stale} <= said, "a reason for what does not survive"
