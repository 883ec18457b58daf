"""Replays a Dockerfile without Docker: its copies and installations, stage by stage, in a folder.

It knows the few commands that our Dockerfiles use and refuses any other, so that a new one cannot
go unnoticed. Packages are installed by uv for the image's Python, from the same lock and by hash.
What needs a system (users, owners) and what only makes a start faster (bytecode) is left out; what
comes from another image is handed in.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dev.state import REPOSITORY

UV = str(Path(sys.executable).parent / "uv")
SECONDS = 300
_CONTINUED = re.compile(r"\\\n")
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".mypy_cache", ".ruff_cache")


@dataclass
class Stage:
    """A stage's file system and what its last instructions say."""

    root: Path
    base: str
    directory: str = "/"
    environ: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    command: list[str] = field(default_factory=list)
    probe: list[str] = field(default_factory=list)

    def at(self, path: str) -> Path:
        """Where an absolute path of the image, or one relative to its directory, is here."""
        absolute = path if path.startswith("/") else f"{self.directory}/{path}"
        return self.root / absolute.lstrip("/")


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instruction and argument of each line; comments and continuations taken out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = _CONTINUED.sub(" ", "\n".join(lines))
    pairs = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(name.upper(), argument.strip()) for name, _, argument in pairs]


class Replay:
    """One Dockerfile, carried out below `directory`."""

    def __init__(
        self, path: Path, directory: Path, python: Path, images: Mapping[str, Path] | None = None
    ) -> None:
        self._directory = directory
        self._python = python
        self._images = images or {}
        self.stages: dict[str, Stage] = {}
        self.current: Stage | None = None
        for instruction, argument in instructions(path):
            if instruction == "FROM":
                self._from(argument)
            elif self.current is not None:
                self._do(self.current, instruction, argument)

    @property
    def image(self) -> Stage:
        """The last stage."""
        assert self.current is not None
        return self.current

    def _from(self, argument: str) -> None:
        base, _, name = argument.partition(" AS ")
        name = name or "image"
        root = self._images.get(name) or self._directory / name
        root.mkdir(parents=True, exist_ok=True)
        self.current = self.stages[name] = Stage(root, base)

    def _do(self, stage: Stage, instruction: str, argument: str) -> None:
        match instruction:
            case "COPY":
                self._copy(stage, shlex.split(argument))
            case "RUN":
                for command in argument.split("&&"):
                    self._run(stage, shlex.split(command))
            case "WORKDIR":
                stage.directory = argument
                stage.at(argument).mkdir(parents=True, exist_ok=True)
            case "ENV":
                stage.environ |= _assignments(argument)
            case "LABEL":
                stage.labels |= _assignments(argument)
            case "USER":
                stage.user = argument
            case "ENTRYPOINT":
                stage.command = json.loads(argument)
            case "HEALTHCHECK":
                stage.probe = json.loads(argument.partition("CMD ")[2])
            case "ARG" | "EXPOSE" | "STOPSIGNAL":
                pass
            case _:
                raise AssertionError(f"not known so far: {instruction}")

    def _copy(self, stage: Stage, words: list[str]) -> None:
        options = [word for word in words if word.startswith("--")]
        *sources, target = [word for word in words if word not in options]
        origin = REPOSITORY
        for option in options:
            origin = self.stages[option.removeprefix("--from=")].root
        for source in sources:
            found = origin / source.lstrip("/")
            assert found.exists(), f"COPY {source}: there is none"
            into = stage.at(target)
            if found.is_dir():
                shutil.copytree(found, into, dirs_exist_ok=True, symlinks=True, ignore=_IGNORED)
                continue
            file = into / found.name if target.endswith("/") else into
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, file)

    def _run(self, stage: Stage, words: list[str]) -> None:
        match words:
            case ["pip", "install", *options]:
                self._install(stage, options)
            case ["python", "-m", "venv", "--without-pip", path]:
                (stage.at(path) / "lib" / "python3.13" / "site-packages").mkdir(parents=True)
            case ["python", "-m", "compileall", "-q", path]:
                assert stage.at(path).is_dir()
            case ["rm", "-rf" | "-f", *paths]:
                for path in paths:
                    _remove(stage, path)
            case ["mkdir", "-p", *paths]:
                for path in paths:
                    stage.at(path).mkdir(parents=True, exist_ok=True)
            case ["useradd" | "chown", *_]:
                pass
            case _:
                raise AssertionError(f"not known so far: RUN {shlex.join(words)}")

    def _install(self, stage: Stage, options: list[str]) -> None:
        assert "--require-hashes" in options
        assert "--no-cache-dir" in options
        target = options[options.index("--target") + 1]
        wildcard = re.fullmatch(r"\$\(echo (.+)\)", target)
        if wildcard:
            [folder] = stage.root.glob(wildcard[1].lstrip("/"))
        else:
            folder = stage.at(target)
        lock = stage.at(options[options.index("-r") + 1])
        environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        command = [UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--python", str(self._python), "--target", str(folder), "-r", str(lock)]
        subprocess.run(command, check=True, timeout=SECONDS, env=environ)


def _remove(stage: Stage, path: str) -> None:
    pattern = str(stage.at(path).relative_to(stage.root))
    for found in list(stage.root.glob(pattern)):
        assert stage.root in found.parents
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found)
        else:
            found.unlink()


def _assignments(argument: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(argument))
