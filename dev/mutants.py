"""`make mutants`: which small change of the planner or of the buckets' arithmetic does no test see?

    python -m dev.mutants            every mutant; minutes to hours, and it goes on where it stopped
    python -m dev.mutants limits     those of one module

mutmut makes the mutants and runs the unit tests of the planner and of pacing against each; it has
an environment of its own (`.venv-mutants`), so that nobody else installs it. A mutant is known by
its difference, not by its number, which moves when code does. A survivor that is not listed in
tests/mutants/survivors.toml, with the reason why no test can or should see it, fails the command;
so does a listing whose mutant is gone or does not survive any more.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.state import REPOSITORY

ENVIRONMENT = REPOSITORY / ".venv-mutants"
LOCKS = ("dev/requirements.txt", "dev/requirements-mutants.txt")
WORK = REPOSITORY / "mutants"
LISTED = REPOSITORY / "tests" / "mutants" / "survivors.toml"
UV = str(Path(sys.executable).parent / "uv")
EXAMPLES = "60"
"""Of each property: a mutant that needs more to be seen deserves a test of its own."""
ALIVE = frozenset({0, 5, 33, 34})
"""mutmut's exit codes of mutants whose tests passed, or that no test ran through."""
NOT_RUN = frozenset({None, 2})
"""Those of mutants that were not reached, or interrupted: the next run goes on with them."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change, by the module and the lines it changes."""

    key: str
    module: str
    change: str
    """Lines taken out and put in, without their place in the file."""


def environment() -> Path:
    """mutmut, in an environment that is made or renewed where needed."""
    stamp, program = ENVIRONMENT / ".ready", ENVIRONMENT / "bin" / "mutmut"
    wanted = hashlib.sha256(b"".join((REPOSITORY / lock).read_bytes() for lock in LOCKS))
    if not stamp.exists() or stamp.read_text() != wanted.hexdigest():
        print("set-up: environment of the mutants", flush=True)
        interpreter = str(ENVIRONMENT / "bin" / "python")
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT))
        locks = [argument for lock in LOCKS for argument in ("-r", str(REPOSITORY / lock))]
        _uv("pip", "install", "--quiet", "--python", interpreter, "--require-hashes", *locks)
        stamp.write_text(wanted.hexdigest())
    return program


def _uv(*arguments: str) -> None:
    subprocess.run([UV, *arguments], cwd=REPOSITORY, check=True, timeout=900)


def outcomes(modules: Iterable[str]) -> dict[str, int | None]:
    """Each mutant's exit code as mutmut keeps it; None for one that was not run."""
    chosen = set(modules)
    return {
        key: code
        for meta in sorted(WORK.glob("shared/p*/*.meta"))
        if not chosen or meta.name.partition(".")[0] in chosen
        for key, code in json.loads(meta.read_text())["exit_code_by_key"].items()
    }


def forget_the_living() -> None:
    """Have what survived tried again: there may be a test now that sees it."""
    for meta in WORK.glob("shared/p*/*.meta"):
        kept = json.loads(meta.read_text())
        codes = kept["exit_code_by_key"]
        kept["exit_code_by_key"] = {k: None if c in ALIVE else c for k, c in codes.items()}
        meta.write_text(json.dumps(kept, indent=4))


def described(program: Path, key: str) -> Mutant:
    """The mutant as a difference."""
    shown = subprocess.run(
        [str(program), "show", key],
        cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    return Mutant(key, key.rpartition(".x")[0], "\n".join(changed_lines(shown.splitlines())))


def changed_lines(difference: Iterable[str]) -> Iterator[str]:
    """What a unified difference takes out and puts in."""
    for line in difference:
        if line[:1] in {"-", "+"} and not line.startswith(("---", "+++")):
            yield f"{line[0]} {line[1:].strip()}"


def listed(text: str) -> dict[tuple[str, str], int]:
    """(module, change) -> how many mutants are it. Raises ValueError where a reason is missing."""
    found: Counter[tuple[str, str]] = Counter()
    for entry in tomllib.loads(text).get("survivor", ()):
        if not entry["reason"].strip():
            raise ValueError(f"no reason is given for {entry['change']}")
        found[entry["module"], entry["change"].strip()] += entry.get("count", 1)
    return dict(found)


def verdict(
    survivors: Iterable[Mutant], known: Mapping[tuple[str, str], int], modules: Iterable[str]
) -> tuple[list[Mutant], list[tuple[str, str]]]:
    """The survivors that are not listed, and the listings that no survivor stands behind."""
    left, chosen = dict(known), set(modules)
    unlisted = []
    for mutant in survivors:
        what = (mutant.module, mutant.change)
        if left.get(what, 0):
            left[what] -= 1
        else:
            unlisted.append(mutant)
    stale = [
        what
        for what, count in left.items()
        if count and (not chosen or what[0].rpartition(".")[2] in chosen)
    ]
    return unlisted, stale


def main(modules: list[str]) -> int:
    """0 when every mutant is seen by a test, or listed."""
    program = environment()
    forget_the_living()
    names = [f"shared.*.{module}.*" for module in modules]
    subprocess.run(
        [str(program), "run", *names],
        cwd=REPOSITORY, check=False, env=os.environ | {"ARCBRIDGE_EXAMPLES": EXAMPLES},
    )  # fmt: skip
    found = outcomes(modules)
    left_out = [key for key, code in found.items() if code in NOT_RUN]
    alive = [described(program, k) for k, code in found.items() if code in ALIVE]
    unlisted, stale = verdict(alive, listed(LISTED.read_text()), modules)
    for mutant in unlisted:
        print(f"\nsurvived and is not listed: {mutant.key}\n{mutant.change}")
    for module, change in stale:
        print(f"\nlisted, and no such mutant survives: {module}\n{change}")
    print(
        f"\n{len(found)} mutants, {len(alive)} alive, {len(unlisted)} of them not listed, "
        f"{len(stale)} stale listings, {len(left_out)} not run"
    )
    return 1 if unlisted or stale or left_out or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
