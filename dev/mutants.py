"""`make mutants`: which small change of the planner or of the buckets' arithmetic does no test see?

    python -m dev.mutants            every mutant, in minutes; it goes on where it was stopped
    python -m dev.mutants limits     those of one module, each anew

mutmut makes the mutants and runs the direct tests of the planner and of pacing against each: those
that take milliseconds, and none of the properties, for what only thousands of worlds show deserves
a test of its own. It has an environment of its own (`.venv-mutants`), so that nobody else installs
it. A mutant is known by its difference, not by its number, which moves when code does. A survivor
that is not listed in tests/mutants/survivors.toml, with the reason why no test can or should see
it, fails the command; so does a listing whose mutant is gone or does not survive any more.

Outcomes hold for the code and the tests that they were found with. When either has changed, all
mutants are tried again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.state import REPOSITORY

ENVIRONMENT = REPOSITORY / ".venv-mutants"
LOCKS = ("dev/requirements.txt", "dev/requirements-mutants.txt")
WORK = REPOSITORY / "mutants"
LISTED = REPOSITORY / "tests" / "mutants" / "survivors.toml"
UV = str(Path(sys.executable).parent / "uv")
STAMP = WORK / ".outcomes-of"
"""Of which code and tests the outcomes are."""
LOOKED_AT = (
    "shared/contract",
    "shared/planner",
    "shared/pacing",
    "tests/unit/planner",
    "tests/unit/pacing",
)
SHOW = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
print(json.dumps([get_diff_for_mutant(key) for key in sys.argv[1:]]))
"""
"""`mutmut show` for many mutants at once: it takes a second for each otherwise."""
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


def code_and_tests(root: Path) -> str:
    """What the outcomes depend on, as one hash."""
    found = hashlib.sha256((root / "pyproject.toml").read_bytes())
    for folder in LOOKED_AT:
        for path in sorted((root / folder).rglob("*.py")):
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def forget_the_living() -> None:
    """Have what survived tried again, for a run may have been unlucky."""
    for meta in WORK.glob("shared/p*/*.meta"):
        kept = json.loads(meta.read_text())
        codes = kept["exit_code_by_key"]
        kept["exit_code_by_key"] = {k: None if c in ALIVE else c for k, c in codes.items()}
        meta.write_text(json.dumps(kept, indent=4))


def described(keys: Sequence[str]) -> list[Mutant]:
    """The mutants as differences."""
    if not keys:
        return []
    shown = subprocess.run(
        [str(ENVIRONMENT / "bin" / "python"), "-c", SHOW, *keys],
        cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=300,
    ).stdout  # fmt: skip
    return [
        Mutant(key, key.rpartition(".x")[0], "\n".join(changed_lines(difference.splitlines())))
        for key, difference in zip(keys, json.loads(shown), strict=True)
    ]


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


def prepare() -> None:
    """Begin anew unless the outcomes are of the code and the tests that stand here now.

    mutmut notices a changed function by itself, but neither a changed test nor which tests of old
    pass through a new function.
    """
    now = code_and_tests(REPOSITORY)
    if STAMP.exists() and STAMP.read_text() == now:
        forget_the_living()
        return
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    STAMP.write_text(now)


def main(modules: list[str]) -> int:
    """0 when every mutant is seen by a test, or listed."""
    program = environment()
    prepare()
    names = [f"shared.*.{module}.*" for module in modules]
    subprocess.run([str(program), "run", *names], cwd=REPOSITORY, check=False)
    found = outcomes(modules)
    left_out = [key for key, code in found.items() if code in NOT_RUN]
    alive = described([key for key, code in found.items() if code in ALIVE])
    unlisted, stale = verdict(alive, listed(LISTED.read_text()), modules)
    for mutant in unlisted:
        print(f"\nsurvived and is not listed: {mutant.key}\n{mutant.change}")
    for module, change in stale:
        print(f"\nlisted, and no such mutant survives: {module}\n{change}")
    print(
        f"\n{len(found)} mutants: {len(found) - len(alive) - len(left_out)} seen by a test, "
        f"{len(alive) - len(unlisted)} listed, {len(unlisted)} not listed, "
        f"{len(left_out)} not run; {len(stale)} stale listings"
    )
    return 1 if unlisted or stale or left_out or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
