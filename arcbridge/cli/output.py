"""Results as a table for people, or as JSON or YAML for programs: the same content.

Cells are plain text: what a cluster or a colleague named something is never read as markup, and
control characters are shown, not sent to the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from arcbridge.cli.session import Format, Session

if TYPE_CHECKING:
    from shared.contract.base import WireModel

M = TypeVar("M", bound="WireModel")
Column = tuple[str, Callable[[M], object]]
"""A heading, and a row's cell."""

_STYLES = {
    **dict.fromkeys(("Connected", "Ready", "Good", "Succeeded", "RolledBack"), "green"),
    **dict.fromkeys(("Running", "Applying", "Verifying", "RollingBack", "Paused"), "yellow"),
    **dict.fromkeys(("AwaitingApproval", "ticket"), "yellow"),
    **dict.fromkeys(("Failed", "TimedOut", "Revoked", "Expired", "Offline"), "red"),
    **dict.fromkeys(("Quarantined", "page"), "red"),
}


def show_all(session: Session, items: Iterable[M], columns: Sequence[Column[M]]) -> None:
    """A list: one row each, or an array."""
    found = list(items)
    if session.output is not Format.TABLE:
        write(session, [item.to_wire() for item in found])
        return
    if not found:
        session.say("nothing found")
        return
    table = new_table([heading for heading, _ in columns])
    for item in found:
        table.add_row(*(cell(value(item)) for _, value in columns))
    session.out.print(table)


def show_one(session: Session, item: WireModel) -> None:
    """One thing: its fields below each other, or an object."""
    if session.output is not Format.TABLE:
        write(session, item.to_wire())
        return
    write(session, item.to_wire(), Format.YAML)


def write(session: Session, value: Any, form: Format | None = None) -> None:
    """JSON or YAML to standard output."""
    if (form or session.output) is Format.JSON:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        return
    import yaml

    yaml.safe_dump(value, sys.stdout, sort_keys=False, allow_unicode=True, width=100)


def new_table(headings: Sequence[str]) -> Any:
    """An empty table in the house's looks."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading.upper(), overflow="fold")
    return table


def cell(value: object) -> Any:
    """A value as plain text, in the colour of its state."""
    from rich.text import Text

    text = printable(plain(value))
    return Text(text, style=_STYLES.get(text, ""))


def plain(value: object) -> str:
    """A value in few words; a dash for none."""
    match value:
        case None | "" | () | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return ago(value, datetime.now(UTC))
        case dict():
            return ",".join(f"{key}={each}" for key, each in sorted(value.items())) or "-"
        case _:
            return str(value)


def printable(text: str) -> str:
    """With control characters escaped, so that a name cannot steer the terminal."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in text)


def ago(moment: datetime, now: datetime) -> str:
    """`5m ago`, `in 2h`: the largest unit, rounded down."""
    seconds = (now - moment).total_seconds()
    size = abs(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if size >= length:
            text = f"{int(size // length)}{unit}"
            break
    else:
        text = f"{int(size)}s"
    return f"{text} ago" if seconds >= 0 else f"in {text}"
