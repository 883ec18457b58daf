"""Expand and contract: this release's code on the next release's schema, and the way back to it.

`ARCBRIDGE_TEST_EXPANDED=1 make test` runs everything on the expanded schema. Once there is a
release before this one, its code runs on this schema: from the tag, in a tree of its own.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import psycopg
import pytest

from dev.state import REPOSITORY
from shared.store import migrations
from shared.store.migrations import Migration, Phase, apply, available
from tests.conftest import EXPANDED, EXPANSION

SMOKE = (
    "tests/integration/services/test_registration.py",
    "tests/integration/engine/test_retry.py",
)
"""Clusters join, extensions are published, rolled out, fail and are tried again."""
SECONDS = 240
RELEASED = re.compile(r"^## \[(\d+\.\d+\.\d+)]", re.MULTILINE)
"""A release's heading in the changelog."""


def run_smoke(tree: Path, **environ: str) -> None:
    """The smoke tests of a tree, on servers of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *SMOKE],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), **environ},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout


@pytest.mark.timeout(SECONDS + 30)
def test_this_releases_code_works_on_the_next_ones_schema() -> None:
    run_smoke(REPOSITORY, **{EXPANDED: "1"})


def test_this_releases_migration_leaves_a_schema_alone_that_is_ahead_of_it(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that was taken back migrates, too, at its start: to nothing."""
    known = available()
    later = Migration(known[-1].number + 1, "later", Phase.PRE, EXPANSION.read_text())
    with monkeypatch.context() as ahead:
        ahead.setattr(migrations, "available", lambda: [*known, later])
        assert apply(empty_postgres_url)[-1] == later
    assert apply(empty_postgres_url) == []
    with psycopg.connect(empty_postgres_url) as connection:
        row = connection.execute("select to_regclass('later_things')::text").fetchone()
    assert row == ("later_things",)


def former_release() -> str | None:
    """The newest tag that is not this very commit."""
    git = (
        "git",
        "-C",
        str(REPOSITORY),
        "describe",
        "--tags",
        "--abbrev=0",
        "--match",
        "v*",
        "HEAD^",
    )
    done = subprocess.run(git, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() or None


@pytest.mark.timeout(SECONDS + 30)
def test_the_former_releases_code_works_on_this_ones_schema(tmp_path: Path) -> None:
    """Before the first release there is none, which the changelog must say as well."""
    release = former_release()
    if release is None:
        released = RELEASED.findall((REPOSITORY / "CHANGELOG.md").read_text())
        assert not released, "git knows none of these releases: fetch the tags"
        return
    archived = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", release],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as tree:
        tree.extractall(tmp_path, filter="data")
    # Its tests migrate with the files of its tree: give it this release's.
    for file in (REPOSITORY / "shared" / "store" / "migrations").glob("*.sql"):
        (tmp_path / "shared" / "store" / "migrations" / file.name).write_bytes(file.read_bytes())
    run_smoke(tmp_path)
