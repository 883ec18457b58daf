import pytest

from shared.contract.wording import plural


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 targets"), (1, "1 target"), (2, "2 targets"), (21, "21 targets")]
)
def test_a_noun_has_the_number_of_what_it_counts(count: int, said: str) -> None:
    assert plural(count, "target") == said


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert [plural(count, "entry", "entries") for count in (1, 2)] == ["1 entry", "2 entries"]
