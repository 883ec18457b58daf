"""What a CEL expression may be, as far as its text tells: how deep it goes, how its loops nest.

Pure and without a parser of CEL, which only the agent carries: brackets and macros are counted
outside of literals. Whether the text is CEL, and what it costs on a live object, is the agent's to
say (KEP-2876 does the same in two steps: an estimate when a rule is made, a budget when it runs).
"""

from __future__ import annotations

import re
from typing import Final

NESTED_BRACKETS_MAX: Final = 32
NESTED_LOOPS_MAX: Final = 2
"""A loop in a loop looks at each item for each item; a third level is a mistake or an attack."""

_TOKEN = re.compile(
    r"""
    (?:[bB]?[rR]|[rR][bB])(?:'''.*?'''|\"\"\".*?\"\"\"|'[^']*'|"[^"]*")     # raw literals
    | [bB]?(?:'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")
    | //[^\n]*
    | (?P<loop>\.\s*(?:all|exists_one|exists|filter|map|reduce)\s*\()
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    """,
    re.VERBOSE | re.DOTALL,
)


def too_complex(text: str) -> str | None:
    """What is wrong with an expression, as a sentence's predicate; None for nothing."""
    brackets: list[bool] = []
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "close":
            if brackets:
                brackets.pop()
        elif token.lastgroup is not None:
            brackets.append(token.lastgroup == "loop")
            if sum(brackets) > NESTED_LOOPS_MAX:
                return f"has loops more than {NESTED_LOOPS_MAX} deep in each other: {token[0]}"
            if len(brackets) > NESTED_BRACKETS_MAX:
                return f"has brackets more than {NESTED_BRACKETS_MAX} deep in each other"
    return None
