"""Dependencies between extensions: a cycle is refused at publish, with the cycle named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def find_cycle(depends_on: Mapping[str, Sequence[str]], start: str) -> tuple[str, ...] | None:
    """The first cycle through `start`, as `(start, …, start)`, or None.

    Names that are not in `depends_on` are extensions that do not exist yet: they depend on nothing.
    Iterative, so that a long chain is no recursion.
    """
    path = [start]
    branches = [iter(sorted(depends_on.get(start, ())))]
    seen = {start}
    while branches:
        following = next(branches[-1], None)
        if following is None:
            branches.pop()
            path.pop()
        elif following == start:
            return (*path, start)
        elif following not in seen:
            seen.add(following)
            path.append(following)
            branches.append(iter(sorted(depends_on.get(following, ()))))
    return None
