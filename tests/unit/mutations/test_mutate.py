"""A seed says it all: whatever a mutant did can be sent again."""

from __future__ import annotations

from itertools import islice

from functions.registry import endpoints
from tests.mutations.sending import mutants
from tests.routes import NOWHERE


def test_one_seed_gives_the_same_requests_and_another_others() -> None:
    first, again, other = (list(mutants(seed, 300, dict(NOWHERE))) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_route_gets_its_share() -> None:
    count = 2 * len(endpoints())
    names = [endpoint.name for endpoint, _ in islice(mutants(1, count, dict(NOWHERE)), count)]
    assert {names.count(endpoint.name) for endpoint in endpoints()} == {2}


def test_a_mutant_says_what_was_done_to_it() -> None:
    assert all(mutant.how for _, mutant in mutants(3, 200, dict(NOWHERE)))
