"""An agent on a machine whose clock is wrong: told, and no outage of what need not break."""

from __future__ import annotations

from datetime import timedelta

from shared.contract.states import ExtensionPhase
from tests.integration.agent_link.conftest import AgentProcess, Site, eventually
from tests.integration.agent_link.desired import greeting

SECONDS = 90.0


def moved(site: Site, by: timedelta) -> AgentProcess:
    """The site's agent with a clock that is off by so much."""
    agent = site.agent(ARCBRIDGE_AGENT_LEASE_SECONDS="15")
    agent.module = ("tests.fakes.moved_clock", str(by.total_seconds()))
    return agent


async def test_a_clock_far_ahead_is_told_and_everything_goes_on(site: Site) -> None:
    """Five hours: each certificate of an hour's life seems to be over, and each assertion too."""
    plane = site.control_plane
    plane.extensions = (greeting(),)
    await site.install()
    agent = moved(site, timedelta(hours=5))
    await agent.start()
    await eventually(site.is_ready, "the resource is Ready", SECONDS)
    assert await site.condition("ClockSynced") == ("False", "ClockSkewed")
    assert await site.condition("CertificateValid") == ("True", "CertificateValid")

    def reported() -> bool:
        return any(event.phase is ExtensionPhase.READY for event in plane.events.values())

    await eventually(reported, "the extension is applied and reported", SECONDS)
    assert (plane.renewals, len(plane.registrations)) == (0, 1)
    # Begun again it knows nothing of the control plane's time, until the first answer.
    await agent.stop()
    plane.events.clear()
    plane.extensions = (greeting("again", revision=2, generation=2),)
    await agent.start()
    await eventually(reported, "the next revision is applied and reported", SECONDS)
    assert (plane.renewals, len(plane.registrations)) == (0, 1)


async def test_a_clock_far_behind_is_told_and_everything_goes_on(site: Site) -> None:
    site.control_plane.extensions = (greeting(),)
    await site.install()
    await moved(site, -timedelta(hours=5)).start()
    await eventually(site.is_ready, "the resource is Ready", SECONDS)
    assert await site.condition("ClockSynced") == ("False", "ClockSkewed")
    await eventually(
        lambda: any(e.phase is ExtensionPhase.READY for e in site.control_plane.events.values()),
        "the extension is applied and reported",
        SECONDS,
    )
