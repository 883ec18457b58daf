"""Scenarios: what the fleet is like, what happens to it, and how it must end. Read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from shared.contract.strategy import RolloutStrategy

SCENARIOS = Path(__file__).parent / "scenarios"
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True
    )


class Spread(_Part):
    """A log-normal time: half of the agents are below `median_seconds`."""

    median_seconds: Seconds = 0.2
    sigma: Seconds = 0.5


class Nature(_Part):
    """What the fleet's clusters are like."""

    apply: Spread = Spread()
    """Time from the document to Ready, without the pull."""
    pull: Spread = Spread(median_seconds=0.05)
    """Time to get the chart, once a place at the registry is free."""
    pulls_at_once: Annotated[int, Field(ge=1)] = 1_000
    """Places at the registry, over the whole fleet."""
    failures: Fraction = 0.0
    """Clusters on which a good revision fails."""
    clock_skew_seconds: tuple[float, float] = (0.0, 0.0)
    """Between these the agents' clocks are off."""
    versions: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: {"1.0.0": 1.0}
    )
    """Agent versions and their weights."""
    flapping: Fraction = 0.0
    """Agents that drop their stream again and again, after 1 to 5 s."""


class Publish(_Part):
    """Publish revision n of the chart."""

    publish: Annotated[int, Field(ge=1)]


class Await(_Part):
    """Wait until the newest rollout of the kind is in this state."""

    until: Literal["Succeeded", "RolledBack", "Failed"]
    within_seconds: Seconds = 120.0


class Leave(_Part):
    """These agents go offline: no stream, no polls."""

    offline: Fraction


class Return(_Part):
    """All agents come back."""

    online: Literal[True]


class Kill(_Part):
    """End a part with SIGKILL; the stack starts it again, Redis after `for_seconds`."""

    kill: Literal["redis", "control-plane", "relay"]
    for_seconds: Seconds = 3.0


class Rotate(_Part):
    """Rotate the CA, until nobody trusts the one before."""

    rotate: Literal["ca"]
    within_seconds: Seconds = 600.0


class Pause(_Part):
    """Let time pass."""

    wait_seconds: Seconds


Step = Publish | Await | Leave | Return | Kill | Rotate | Pause


class Expectation(_Part):
    """How it must end."""

    revision: Annotated[int, Field(ge=1)]
    """What every cluster that is online must run."""
    clusters_that_saw: dict[int, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Revision -> the most clusters that may ever have started on it."""
    within_seconds: Seconds = 60.0
    """After the last step every agent must be there."""
    least_reconnects: Annotated[int, Field(ge=0)] = 0
    """So that a scenario of disturbances cannot pass undisturbed."""
    undisturbed: bool = False
    """From when all are connected no stream may fail to open, no renewal fail, and no heartbeat be
    lost."""


class Scenario(_Part):
    """One scenario."""

    about: str
    seed: int = 1
    certificate_minutes: Annotated[float, Field(ge=2)] | None = None
    """Lifetime of the certificates; a week otherwise."""
    nature: Nature = Nature()
    broken_revisions: tuple[int, ...] = ()
    """Revisions that become ready nowhere."""
    strategy: RolloutStrategy = RolloutStrategy()
    script: tuple[Step, ...]
    expect: Expectation

    @model_validator(mode="after")
    def _publishes_something(self) -> Self:
        if not any(isinstance(step, Publish) for step in self.script):
            raise ValueError("a scenario publishes at least one revision")
        return self


def load(name: str) -> Scenario:
    """A scenario by its name here, or by a file's path. Raises FileNotFoundError, ValueError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SCENARIOS / f"{name}.yaml"
    content: Any = yaml.safe_load(path.read_text())
    return Scenario.model_validate(content)


def names() -> list[str]:
    """The scenarios that are here."""
    return sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
