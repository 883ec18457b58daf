"""The reference page says what the commands say, and starting up stays light."""

from __future__ import annotations

import subprocess
import sys

from arcbridge.cli.reference import page
from dev.state import REPOSITORY

HEAVY = ("httpx", "pydantic", "yaml", "azure.identity", "rich.progress", "shared.contract.rollout")


def test_the_reference_page_is_in_step_with_the_commands() -> None:
    committed = (REPOSITORY / "docs" / "cli.md").read_text()
    assert committed == page(), "run: python -m arcbridge.cli.reference > docs/cli.md"


def test_nothing_heavy_is_imported_before_a_command_runs() -> None:
    code = f"import sys, arcbridge.cli.main; print([n for n in {HEAVY!r} if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"
