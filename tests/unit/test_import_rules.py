"""The import rule is checked: a planted violation of each contract makes the check fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")

PLANTED = {
    "dev stands on the deployables, they stand on shared, siblings never meet": {
        "relay/planted_sibling.py": "import agent",
    },
    "inside shared": {
        "shared/telemetry/planted_upward.py": "import shared.contract.limits",
    },
    "the agent's image holds no store code": {
        "agent/planted_store.py": "import shared.store",
    },
    "the operator's client speaks the HTTP API only": {
        "arcbridge/planted_store.py": "import shared.store",
    },
    # through another module, where nobody would see it in a review
    "functions never reach grpc: the Functions worker carries its own": {
        "functions/planted_grpc.py": "import shared.services.planted_grpc",
        "shared/services/planted_grpc.py": "import grpc",
    },
    "deciding does no I/O": {
        "shared/planner/planted_clock.py": "import time",
    },
}


def contracts() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]]


def broken_contracts(tree: Path) -> set[str]:
    result = subprocess.run(
        [LINTER, "--no-cache"], cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    lines = result.stdout.splitlines()
    broken = {line.removesuffix(" BROKEN") for line in lines if line.endswith(" BROKEN")}
    assert result.returncode == (1 if broken else 0), result.stdout + result.stderr
    return broken


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    for name in packages["root_packages"]:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_source_keeps_the_import_rule(tree: Path) -> None:
    assert broken_contracts(tree) == set()


def test_a_planted_violation_breaks_each_contract(tree: Path) -> None:
    for files in PLANTED.values():
        for path, content in files.items():
            (tree / path).write_text(f"{content}\n")
    assert broken_contracts(tree) == set(contracts())


def test_every_contract_has_a_planted_violation() -> None:
    assert set(PLANTED) == set(contracts())
