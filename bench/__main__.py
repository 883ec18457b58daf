"""`python -m bench [name]`: run one benchmark, or all. Exit status 1 when a limit is broken.

A benchmark is a module of this package with `run() -> list[Figure]`. They measure; the tests do
not: a figure depends on the machine, and so is printed beside something measured on the same one.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench
from bench.figures import show


def main(arguments: list[str]) -> int:
    """Run what was asked for."""
    inner = {"bare_server", "charts", "figures", "plane", "__main__"}
    known = sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in inner)
    wanted = arguments or known
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    good = True
    for name in wanted:
        print(f"\n{name}")
        good = show(importlib.import_module(f"bench.{name}").run()) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
