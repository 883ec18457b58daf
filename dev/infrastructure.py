"""Checks infra/, the workflows and the images' recipes: `python -m dev.infrastructure`.

    checkov      the Bicep files: nothing that cannot be parsed, nothing found that is not
                 suppressed beside the line, with a reason
    hadolint     the Dockerfiles
    shellcheck   the scripts
    actionlint   the workflows: that they are right, and the scripts inside of them
    zizmor       the workflows: that nobody can misuse them

The tools have an environment of their own (`.venv-infrastructure`), because checkov pins packages
that the product needs newer. It is made from a lock at the first run. Nothing is downloaded by the
tools themselves, and none is left out where it is missing: then the check fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from dev.state import REPOSITORY

ENVIRONMENT = REPOSITORY / ".venv-infrastructure"
LOCK = REPOSITORY / "dev" / "requirements-infra.txt"
UV = str(Path(sys.executable).parent / "uv")
INSTALL_SECONDS = 600
TOOL_SECONDS = 180
BICEP = "infra/bicep"


def tools() -> Path:
    """The folder with the tools; made or renewed where needed."""
    stamp = ENVIRONMENT / ".ready"
    wanted = f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {sys.version_info[:2]}"
    if not (stamp.exists() and stamp.read_text() == wanted):
        interpreter = ENVIRONMENT / "bin" / "python"
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT))
        _uv(
            "pip", "install", "--quiet", "--python", str(interpreter), "--require-hashes",
            "--no-deps", "-r", str(LOCK),
        )  # fmt: skip
        stamp.write_text(wanted)
    return ENVIRONMENT / "bin"


def checkov(folder: Path) -> list[str]:
    """What checkov finds in the Bicep files; every problem a line."""
    done = _run(
        str(folder / "checkov"), "--directory", BICEP, "--framework", "bicep", "--skip-download",
        "--compact", "--output", "json",
    )  # fmt: skip
    if "Traceback" in done.stderr:
        return [f"checkov: a check broke off:\n{done.stderr}"]
    report = json.loads(done.stdout)
    summary = report["summary"]
    results = report["results"]
    problems = [
        f"checkov: {found['check_id']} {found['check_name']}: {found['file_path']}"
        for found in results["failed_checks"]
    ]
    if summary["parsing_errors"]:
        problems.append(f"checkov: cannot parse {results['parsing_errors']}")
    for skipped in results["skipped_checks"]:
        if not skipped["check_result"].get("suppress_comment"):
            problems.append(f"checkov: {skipped['check_id']} is suppressed without a reason")
    print(f"checkov: {summary['passed']} passed, {summary['skipped']} suppressed with a reason")
    return problems


def hadolint(folder: Path) -> list[str]:
    """What hadolint finds in the Dockerfiles."""
    files = _tracked("*Dockerfile")
    done = _run(str(folder / "hadolint"), "--config", "infra/hadolint.yaml", *files)
    print(f"hadolint: {len(files)} Dockerfiles")
    return [f"hadolint: {line}" for line in done.stdout.splitlines()] or _failed("hadolint", done)


def shellcheck(folder: Path) -> list[str]:
    """What shellcheck finds in the scripts."""
    files = [*_tracked("*.sh"), ".ci/run"]
    done = _run(str(folder / "shellcheck"), "--format=gcc", *files)
    print(f"shellcheck: {len(files)} scripts")
    return [f"shellcheck: {line}" for line in done.stdout.splitlines()] or _failed(
        "shellcheck", done
    )


def actionlint(folder: Path) -> list[str]:
    """What actionlint finds in the workflows."""
    files = _tracked(".github/workflows/*.yml")
    done = _run(
        str(folder / "actionlint"), "-oneline", f"-shellcheck={folder / 'shellcheck'}",
        "-pyflakes=", *files,
    )  # fmt: skip
    print(f"actionlint: {len(files)} workflows")
    return [f"actionlint: {line}" for line in done.stdout.splitlines()] or _failed(
        "actionlint", done
    )


def zizmor(folder: Path) -> list[str]:
    """What zizmor finds in the workflows; offline, so that it asks nobody about versions."""
    done = _run(str(folder / "zizmor"), "--offline", "--quiet", "--no-progress", ".github")
    print("zizmor: the same")
    return [done.stdout or done.stderr] if done.returncode else []


def main() -> int:
    """0 when nothing was found."""
    folder = tools()
    problems = [
        problem
        for check in (checkov, hadolint, shellcheck, actionlint, zizmor)
        for problem in check(folder)
    ]
    print("\n".join(problems))
    return 1 if problems else 0


def _failed(name: str, done: subprocess.CompletedProcess[str]) -> list[str]:
    return [f"{name}: {done.stderr}"] if done.returncode else []


def _tracked(pattern: str) -> list[str]:
    return _run(
        "git", "ls-files", "--cached", "--others", "--exclude-standard", pattern
    ).stdout.split()


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=TOOL_SECONDS
    )


def _uv(*arguments: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([UV, *arguments], check=True, timeout=INSTALL_SECONDS, env=environ)


if __name__ == "__main__":
    sys.exit(main())
