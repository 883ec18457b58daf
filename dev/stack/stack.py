"""Starts the parts in the order in which they need each other, and connects clusters to them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.backends import backends
from dev.issuer.directory import read_seed
from dev.serving import bound_socket
from dev.stack import programs
from dev.stack.child import Child, Program
from dev.stack.clusters import Cluster, contexts, fleet, simulated_names
from dev.stack.database import DATABASE, prepare, with_database
from dev.stack.people import People
from dev.stack.settings import (
    HTTP_PORT,
    RELAY_PORT,
    StackSettings,
    Stores,
    control_plane_environ,
)
from dev.stack.surface import Surface
from shared.identity import devca
from shared.identity.file_issuer import ROOTS

Tell = Callable[[str], None]


@dataclass
class Stack:
    """A running stack."""

    settings: StackSettings
    people: People
    clusters: Sequence[Cluster]
    children: dict[str, Child]
    stores: Stores
    """As their owner: to look behind the application, and to attack it."""
    tell: Tell
    agents: dict[str, Child] = field(default_factory=dict)
    """By cluster name."""

    @property
    def ca_bundle(self) -> str:
        """PEM of the roots that the relay's certificate chains to."""
        return (self.settings.ca_directory / ROOTS).read_text()

    async def surface(self, person: str) -> Surface:
        """The public surface as one of the seeded people."""
        home = self.settings.state / "home" / person
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Surface(self.settings.control_plane_url, await self.people.token(person), home)

    async def connect_all(self, admin: Surface) -> None:
        """Connect each cluster as the documentation says, unless it is, and run its agent."""
        known = {each["name"] for each in await admin.arcbridge_json("cluster", "list")}
        await together(
            *(self._connect(each, admin, known=each.name in known) for each in self.clusters)
        )

    async def _connect(self, cluster: Cluster, admin: Surface, *, known: bool) -> None:
        if not known:
            labels = [f"--label={key}={value}" for key, value in cluster.labels.items()]
            manifest = await admin.arcbridge(
                "cluster", "connect", cluster.name, "--external-agent", *labels
            )
            await admin.kubectl(cluster, "apply", "-f", "-", stdin=manifest)
        program = programs.agent(self.settings, cluster)
        agent = Child(program, self.settings.state / "logs", self.tell)
        self.agents[cluster.name] = agent
        await agent.start()

    async def stop_agents(self) -> None:
        """Stop every agent, all at once."""
        await asyncio.gather(*(agent.stop() for agent in self.agents.values()))


@asynccontextmanager
async def stack(settings: StackSettings, tell: Tell) -> AsyncIterator[Stack]:
    """The control plane and the clusters for the length of the block; no agents yet.

    `tell` gets a line when a process is started again. Raises PortTakenError, BackendError,
    ChildError, ClusterError, each of which says what to do.
    """
    check_ports(settings)
    for folder in ("run", "logs", "kubeconfigs"):
        (settings.state / folder).mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as opened:
        running = await Starter(settings, tell, opened).start()
        opened.push_async_callback(running.stop_agents)
        yield running


@dataclass(frozen=True)
class Starter:
    """Starts the parts, each as soon as what it needs is there."""

    settings: StackSettings
    tell: Tell
    opened: AsyncExitStack
    children: dict[str, Child] = field(default_factory=dict)

    async def start(self) -> Stack:
        """Everything but the agents."""
        settings = self.settings
        others = [self.run(programs.issuer(settings))]
        if settings.simulated_clusters:
            others.append(self.run(programs.simulator(settings)))
        stores: asyncio.Future[Stores] = asyncio.get_running_loop().create_future()
        await together(self.control_plane(stores), *others)
        return Stack(
            settings=settings,
            stores=stores.result(),
            people=People.open(settings.state / "issuer", settings.issuer_url),
            clusters=await find_clusters(settings),
            children=self.children,
            tell=self.tell,
        )

    async def control_plane(self, stores: asyncio.Future[Stores]) -> None:
        """PostgreSQL and Redis (whose addresses `stores` gets), then the app and the relay."""
        settings, seed = self.settings, read_seed()
        running = await self.opened.enter_async_context(
            backends(settings.state / "backends", durable=settings.durable, keep=True)
        )
        create = "postgres" in running.processes
        owner_url = running.postgres_url
        if create:
            owner_url = with_database(owner_url, DATABASE)
        stores.set_result(Stores(owner_url, running.redis_url))
        await asyncio.to_thread(devca.make, settings.ca_directory)
        application_url = await asyncio.to_thread(
            prepare,
            running.postgres_url,
            create=create,
            password_path=settings.state / "login.password",
            tenants=list(seed.tenants),
        )
        environ = control_plane_environ(
            settings,
            Stores(application_url, running.redis_url),
            seed.application.id,
            {tid: tenant for tenant, tid in seed.tenants.items()},
        )
        await together(
            *(self.run(program) for program in programs.control_planes(settings, environ)),
            self.run(programs.relay(settings, environ)),
        )

    async def run(self, program: Program) -> None:
        """A process that is kept running as long as the stack is."""
        child = Child(program, self.settings.state / "logs", self.tell)
        self.opened.push_async_callback(child.stop)
        self.children[program.name] = child
        await child.start()


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once; the first failure ends the rest, before it is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def check_ports(settings: StackSettings) -> None:
    """Raise PortTakenError before anything is started."""
    bound_socket(settings.http_port, HTTP_PORT).close()
    bound_socket(settings.relay_port, RELAY_PORT).close()


async def find_clusters(settings: StackSettings) -> list[Cluster]:
    """The clusters of KUBECONFIG, filled up with the simulated ones."""
    directory = settings.state / "kubeconfigs"
    simulated = {name: directory / f"{name}.yaml" for name in settings.simulated_clusters}
    return fleet(await existing_clusters(directory), simulated)


async def existing_clusters(directory: Path) -> dict[str, Path]:
    """A kubeconfig for each context of KUBECONFIG; none when that is not set."""
    kubeconfig = os.environ.get("KUBECONFIG")
    return await contexts(kubeconfig, directory) if kubeconfig else {}


async def names_to_simulate(directory: Path) -> tuple[str, ...]:
    """Which clusters to simulate so that there are five."""
    return simulated_names(len(await existing_clusters(directory)))
