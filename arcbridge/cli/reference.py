"""The reference page of the command line, made from the commands themselves.

    python -m arcbridge.cli.reference > docs/cli.md

A test keeps the committed page in step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from arcbridge.cli.exits import Exit

_HEAD = """\
# The command line

Made by `python -m arcbridge.cli.reference`; change the commands, not this page.

`pip install arcbridge` brings the command `arcbridge`. Results go to standard output, words to
standard error, so that results can be piped. `-o json` and `-o yaml` give the API's own objects;
lists are arrays.

## Options of every command

They may stand before or after the command's name.

| option | what it does |
| --- | --- |
"""
_ENVIRONMENT = """
## Environment

| variable | what it does |
| --- | --- |
| `ARCBRIDGE_CONFIG` | the configuration file; `~/.config/arcbridge/config.yaml` otherwise. Tokens are kept beside it in `tokens.json`, readable to its owner only |
| `ARCBRIDGE_CONTEXT`, `ARCBRIDGE_SERVER` | the context or the server's URL, where no option says |
| `ARCBRIDGE_TOKEN` | a bearer token to use as it is |
| `ARCBRIDGE_CLIENT_ID`, `ARCBRIDGE_CLIENT_SECRET` | log in as a program (client credentials) |
| `ARCBRIDGE_CA_FILE` | PEM of the authorities to trust for the server |

"""  # noqa: E501 - a row of a Markdown table cannot be wrapped


def page() -> str:
    """The whole page."""
    import typer

    from arcbridge.cli.command import COMMON
    from arcbridge.cli.main import app

    root: Any = typer.main.get_command(app)
    common = [each for each in root.params if each.name in COMMON]
    return "".join(
        (
            _HEAD,
            *(_row(each) for each in common),
            _ENVIRONMENT,
            "## Exit statuses\n\n| status | meaning |\n| --- | --- |\n",
            *(f"| {int(each)} | {each.meaning} |\n" for each in Exit),
            "\n## Commands\n",
            *_commands("arcbridge", root, frozenset(COMMON)),
        )
    )


def _commands(path: str, command: Any, common: frozenset[str]) -> Iterator[str]:
    for name, each in getattr(command, "commands", {}).items():
        if getattr(each, "commands", None):
            yield from _commands(f"{path} {name}", each, common)
        else:
            yield from _command(f"{path} {name}", each, common)


def _command(path: str, command: Any, common: frozenset[str]) -> Iterator[str]:
    own = [each for each in command.params if each.name not in common and each.name != "help"]
    arguments = [each for each in own if each.param_type_name == "argument"]
    options = [each for each in own if each.param_type_name == "option"]
    names = "".join(f" {_shown(each)}" for each in arguments)
    yield f"\n### `{path}{names}`\n\n{_prose(command.help)}\n"
    if arguments or options:
        yield "\n| | |\n| --- | --- |\n"
        yield from (f"| `{_shown(each)}` | {each.help or ''} |\n" for each in arguments)
        yield from (_row(each) for each in options)


def _shown(argument: Any) -> str:
    name = (argument.metavar or argument.name).strip("[]").upper()
    return name if argument.required else f"[{name}]"


def _row(option: Any) -> str:
    names = ", ".join(f"`{each}`" for each in sorted(option.opts, key=len))
    required = " Required." if option.required else ""
    return f"| {names} | {option.help or ''}{required} |\n"


def _prose(text: str | None) -> str:
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


if __name__ == "__main__":
    sys.stdout.write(page())
