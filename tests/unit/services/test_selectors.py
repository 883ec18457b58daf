import pytest

from shared.contract.placement import LabelSelector, MatchExpression, Operator
from shared.domain.errors import ArcBridgeError
from shared.services import selectors


@pytest.mark.parametrize(
    ("text", "expressions"),
    [
        ("", ()),
        ("  ", ()),
        ("env=prod", (("env", Operator.IN, ("prod",)),)),
        ("env = prod ", (("env", Operator.IN, ("prod",)),)),
        ("env!=prod", (("env", Operator.NOT_IN, ("prod",)),)),
        ("example.org/ring", (("example.org/ring", Operator.EXISTS, ()),)),
        ("! legacy", (("legacy", Operator.DOES_NOT_EXIST, ()),)),
        (
            "a in (x, y),b notin (z),c",
            (
                ("a", Operator.IN, ("x", "y")),
                ("b", Operator.NOT_IN, ("z",)),
                ("c", Operator.EXISTS, ()),
            ),
        ),
    ],
)
def test_a_selector_is_read_as_kubectl_reads_it(
    text: str, expressions: tuple[tuple[str, Operator, tuple[str, ...]], ...]
) -> None:
    expected = tuple(
        MatchExpression(key=key, operator=operator, values=values)
        for key, operator, values in expressions
    )
    assert selectors.parse(text) == LabelSelector(match_expressions=expected)


@pytest.mark.parametrize(
    "text",
    [",", "env=prod,", "=prod", "env in prod", "env in ()x", "env=a b", "a;b", "a='x'", "!",
     "env in (a,(b))", "x" * 3000, "a=\x00"],
)  # fmt: skip
def test_text_that_is_no_selector_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ArcBridgeError, match="write it as env=prod"):
        selectors.parse(text)
