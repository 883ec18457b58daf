"""How a function becomes a command: common options, one session, errors as words and a status.

A command is a function whose first parameter is the session. The options that every command has
(`-o`, `--server`, `--context`, `--no-color`, `--timeout`) are added here, and may also stand before
the command's name.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Format, Session

F = TypeVar("F", bound=Callable[..., None])

Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="How results are written.", show_default="table"),
]
Server = Annotated[
    str | None,
    typer.Option("--server", help="The server's URL, instead of the context's.", metavar="URL"),
]
ContextName = Annotated[
    str | None, typer.Option("--context", help="The context to use.", metavar="NAME")
]
NoColor = Annotated[bool, typer.Option("--no-color", help="Write without colours.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        help="Seconds that a call may take, retries included.",
        metavar="SECONDS",
        min=0.1,
        show_default="60",
    ),
]
COMMON: dict[str, tuple[Any, Any]] = {
    "output": (Output, None),
    "server": (Server, None),
    "context_name": (ContextName, None),
    "no_color": (NoColor, False),
    "timeout": (Timeout, None),
}


def remember(
    ctx: typer.Context,
    output: Output = None,
    server: Server = None,
    context_name: ContextName = None,
    no_color: NoColor = False,
    timeout: Timeout = None,
) -> None:
    """Keep the common options that stand before the command's name."""
    given = locals().copy()
    ctx.obj = {name: given[name] for name in COMMON if given[name]}


def command(app: typer.Typer, name: str) -> Callable[[F], F]:
    """Register a function as the command `name`."""

    def register(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "session"
        ]

        @functools.wraps(function)
        def run(ctx: typer.Context, **given: Any) -> None:
            common = {key: given.pop(key) for key in COMMON}
            before = ctx.find_root().obj or {}
            _run(function, _session({**before, **{k: v for k, v in common.items() if v}}), given)

        run.__signature__ = inspect.Signature([_ctx(), *own, *_common()])  # type: ignore[attr-defined] # inspect reads it
        run.__annotations__ = {"ctx": typer.Context, **{p.name: p.annotation for p in own}}
        run.__annotations__ |= {name: annotation for name, (annotation, _) in COMMON.items()}
        del run.__wrapped__
        app.command(name)(run)
        return function

    return register


def _ctx() -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter("ctx", kind, annotation=typer.Context)


def _common() -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in COMMON.items()
    ]


def _session(options: dict[str, Any]) -> Session:
    return Session(
        output=options.get("output") or Format.TABLE,
        server=options.get("server"),
        context_name=options.get("context_name"),
        color=not options.get("no_color"),
        deadline_seconds=options.get("timeout") or 60.0,
    )


def _run(function: Callable[..., None], session: Session, given: dict[str, Any]) -> None:
    try:
        function(session, **given)
    except CommandError as error:
        _fail(session, error)
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`); the interpreter must not flush again.
        sys.stdout = None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        from arcbridge.cli.failures import explained

        told = explained(error)
        if told is None:
            raise
        _fail(session, told)
    finally:
        session.close()


def _fail(session: Session, error: CommandError) -> None:
    session.say(f"arcbridge: {error}")
    if error.remedy:
        session.say(f"  {error.remedy}")
    raise SystemExit(int(error.status or Exit.FAILED)) from error
