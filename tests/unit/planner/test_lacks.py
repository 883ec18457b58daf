"""What a cluster lacks before a target is released there, in words."""

from __future__ import annotations

import pytest

from shared.contract.reasons import ReasonCode
from shared.planner.lacks import what_lacks, why_lacks
from shared.planner.view import Found, Lack


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Found.ABSENT, "db is not there"),
        (Found.NOT_READY, "db is not ready there"),
        (Found.FAILED, "db failed there"),
        (Found.COMING, "db is to be brought up to date there first"),
        (Found.DEPENDS, "db depends on it and is still there"),
    ],
)
def test_how_an_extension_stands_is_said_in_words(found: Found, words: str) -> None:
    assert what_lacks(Lack("db", found)) == words


@pytest.mark.parametrize("found", Found)
def test_only_a_removal_waits_for_what_depends_on_it(found: Found) -> None:
    depends = found is Found.DEPENDS
    expected = ReasonCode.DEPENDENT_PRESENT if depends else ReasonCode.DEPENDENCY_NOT_READY
    assert why_lacks(Lack("db", found)) is expected
