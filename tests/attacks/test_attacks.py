"""Every row of the attack table holds: the same functions that `make attack` plays."""

from __future__ import annotations

import pytest
import pytest_asyncio

from dev.state import REPOSITORY
from tests.attacks.attack import Attack, Outcome
from tests.attacks.playing import play_all
from tests.attacks.table import TABLE
from tests.attacks.target import running_target

pytestmark = pytest.mark.timeout(600)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[Attack, Outcome]:
    """All rows, played at once against one system."""
    async with running_target(tmp_path_factory.mktemp("attacked"), lambda _: None) as target:
        found = await play_all(TABLE, target, lambda _: None)
    return {outcome.attack: outcome for outcome in found}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("attack", TABLE, ids=lambda attack: attack.name)
async def test_it_holds(attack: Attack, outcomes: dict[Attack, Outcome]) -> None:
    outcome = outcomes[attack]
    assert outcome.held, f"expected: {attack.expected}; seen: {outcome.seen}"


def test_the_documentation_has_every_row_where_it_says_so() -> None:
    text = (REPOSITORY / "docs" / "security.md").read_text()
    table = text.partition("| entry point | attack |")[2]
    missing = [each.documented for each in TABLE if each.documented not in table]
    assert not missing, "put what `python -m tests.attacks --table` prints into docs/security.md"
