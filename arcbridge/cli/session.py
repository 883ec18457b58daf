"""What a command works with: the chosen context, a client for it, and where output goes."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from arcbridge.cli import config
from arcbridge.cli.config import Config, Context

if TYPE_CHECKING:
    from rich.console import Console

    from arcbridge.cli.login.cache import TokenCache
    from arcbridge.client import Client


class Format(StrEnum):
    """How results are written to standard output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass
class Session:
    """One run of the command line. What is expensive is made when it is first asked for."""

    output: Format = Format.TABLE
    server: str | None = None
    context_name: str | None = None
    color: bool = True
    deadline_seconds: float = 60.0
    _clients: list[Client] = field(default_factory=list)

    @cached_property
    def config(self) -> Config:
        """The configuration file."""
        return config.load(config.config_path())

    @cached_property
    def context(self) -> Context:
        """The context that options, environment and file ask for."""
        return config.choose(self.config, name=self.context_name, server=self.server)

    @cached_property
    def tokens(self) -> TokenCache:
        """The token cache beside the configuration file."""
        from arcbridge.cli.login.cache import TokenCache

        return TokenCache(self.config.path.with_name("tokens.json"))

    @cached_property
    def client(self) -> Client:
        """A client for the context's server; closed with the session."""
        from arcbridge.cli.login.credential import Credential
        from arcbridge.client import Client, Limits

        client = Client(
            self.context.server,
            token=Credential(self.context, self.tokens),
            limits=Limits(deadline_seconds=self.deadline_seconds),
            ca_file=self.context.ca_file,
        )
        self._clients.append(client)
        return client

    @cached_property
    def out(self) -> Console:
        """Standard output, for results."""
        return _console(stderr=False, color=self.color)

    @cached_property
    def words(self) -> Console:
        """Standard error, for words to the person."""
        return _console(stderr=True, color=self.color)

    def say(self, text: str) -> None:
        """One line to the person, not part of the result."""
        self.words.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Close what was opened."""
        for client in self._clients:
            client.close()


def _console(*, stderr: bool, color: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        no_color=not color or None,
        # Without a terminal nothing is wrapped or cut: a script gets whole lines.
        width=None if stream.isatty() else int(os.environ.get("COLUMNS", "4096")),
    )
