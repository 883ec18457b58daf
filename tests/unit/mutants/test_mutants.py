"""What `make mutants` takes for a survivor that nobody looked at, and for a listing too many."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dev import mutants
from dev.mutants import LISTED, Mutant, changed_lines, code_and_tests, listed, verdict

DIFFERENCE = """\
--- shared/planner/limits.py
+++ shared/planner/limits.py
@@ -3,4 +3,4 @@
     percent = int(limit[:-1])
-    return max(1, total)
+    return max(2, total)
"""
CHANGE = "- return max(1, total)\n+ return max(2, total)"
ENTRY = f"""
[[survivor]]
module = "shared.planner.limits"
change = '''
{CHANGE}
'''
reason = "{{reason}}"
"""


def mutant(module: str = "shared.planner.limits") -> Mutant:
    return Mutant(f"{module}.x_count_of__mutmut_1", module, CHANGE)


def test_a_mutant_is_known_by_the_lines_that_it_changes() -> None:
    assert "\n".join(changed_lines(DIFFERENCE.splitlines())) == CHANGE


def test_a_survivor_that_is_listed_is_no_fault() -> None:
    known = listed(ENTRY.replace("{reason}", "equivalent"))
    assert verdict([mutant()], known, []) == ([], [])


def test_one_listing_stands_for_one_mutant() -> None:
    known = listed(ENTRY.replace("{reason}", "equivalent"))
    unlisted, stale = verdict([mutant(), mutant()], known, [])
    assert (unlisted, stale) == ([mutant()], [])


def test_a_listing_without_its_survivor_is_stale_where_its_module_was_looked_at() -> None:
    known = listed(ENTRY.replace("{reason}", "equivalent"))
    assert verdict([], known, []) == ([], [("shared.planner.limits", CHANGE)])
    assert verdict([], known, ["gates"]) == ([], [])


def test_the_same_change_in_another_module_is_another_mutant() -> None:
    known = listed(ENTRY.replace("{reason}", "equivalent"))
    unlisted, _ = verdict([mutant("shared.planner.gates")], known, ["gates"])
    assert unlisted == [mutant("shared.planner.gates")]


def test_a_listing_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="no reason is given"):
        listed(ENTRY.replace("{reason}", " "))


def test_what_is_listed_can_be_read() -> None:
    assert listed(LISTED.read_text())


def tree(root: Path) -> Path:
    for folder in ("shared/planner", "tests/unit/planner"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.mutmut]")
    (root / "shared/planner/limits.py").write_text("LIMIT = 1")
    (root / "tests/unit/planner/test_limits.py").write_text("assert True")
    return root


@pytest.mark.parametrize(
    "changed",
    [
        "pyproject.toml",
        "shared/planner/limits.py",
        "tests/unit/planner/test_limits.py",
        "tests/unit/planner/test_more.py",
    ],
)
def test_outcomes_are_of_one_state_of_the_code_and_of_its_tests(
    tmp_path: Path, changed: str
) -> None:
    before = code_and_tests(tree(tmp_path))
    assert code_and_tests(tmp_path) == before
    (tmp_path / changed).write_text("anything")
    assert code_and_tests(tmp_path) != before


CODES = {"killed": 1, "survived": 0, "took too long": -24, "interrupted": None}


def test_a_pass_goes_on_where_it_stopped_until_code_or_tests_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, work = tree(tmp_path / "root"), tmp_path / "work"
    for name, value in (("REPOSITORY", root), ("WORK", work), ("STAMP", work / "stamp")):
        monkeypatch.setattr(mutants, name, value)
    mutants.prepare()
    meta = work / "shared/planner/limits.py.meta"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"exit_code_by_key": CODES}))
    mutants.prepare()
    kept = json.loads(meta.read_text())["exit_code_by_key"]
    assert kept == CODES | {"survived": None}, "what survived is tried again"
    (root / "tests/unit/planner/test_limits.py").write_text("assert 1 == 1")
    mutants.prepare()
    assert not meta.exists()
