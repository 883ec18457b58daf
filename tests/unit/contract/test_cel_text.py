"""An expression that loops in loops in loops, or nests without end, is refused when published."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.contract.cel_text import too_complex
from shared.contract.extension import Readiness


@pytest.mark.parametrize(
    "text",
    [
        "status.phase == 'Running'",
        "a.all(x, b.exists(y, y == x)) && c.all(z, d.exists(w, w == z)) && e.map(v, v).size() > 1",
        "a.all(x, b.exists(y, y == 'c.all(z, true)' || y == \"c.all(\"))",
        r"a.all(x, b.all(y, y == 'it\'s .all(' && y == r'\' && y == '''.map('.filter(''' ))",
        "a.all(x, b.all(y, y // c.all(z, d.all(\n == 1))",
        "(" * 31 + "a.size()" + ")" * 31,
        ")))))",
        "status.phase == 'open",
        "'''" + "\\\\" * 500,
    ],
)
def test_what_is_simple_enough(text: str) -> None:
    assert too_complex(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a.all(x, b.exists(y, c.filter(z, z == y + x).size() > 0))", "more than 2 deep"),
        ("a.map(x, [x].map(y, {'k': y . exists_one (z, true)}))", "more than 2 deep"),
        ("(" * 33 + "true" + ")" * 33, "brackets more than 32 deep"),
    ],
)
def test_what_is_too_complex(text: str, why: str) -> None:
    assert why in str(too_complex(text))


def test_the_error_names_the_field() -> None:
    nested = "a.all(x, b.all(y, c.all(z, true)))"
    checks = [{"target": {}, "current": "true"}, {"target": {}, "current": "x", "failed": nested}]
    with pytest.raises(ValidationError) as caught:
        Readiness.model_validate({"checks": checks})
    (error,) = caught.value.errors()
    assert error["loc"] == ("checks", 1, "failed")
    assert "loops more than 2 deep in each other" in error["msg"]
