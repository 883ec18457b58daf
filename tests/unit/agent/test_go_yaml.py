"""Manifests are read as helm, kubectl and the API server read them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.go_yaml import YamlUnreadable, read_documents

KUBECTL = Path(os.environ.get("ARCBRIDGE_STATE_DIR", ".arcbridge")).resolve() / "bin" / "kubectl"
PLAIN = """
= << ~ - . ! 12:30 1:30:45 190:20:30 0o644 0644 0777 08 0o8 010e1 1e3 1e+3 1.5e3 12e4 6e1_0 .5 .5e3 -.5 +.5 5. 1.0
1_000 1__0 _1 0_7 1_0.5_0 0x1F 0x_1F 0x1g 0b101 -0b1 +1 -1 00 0 9223372036854775807 1.2.3 2001-01-01 1e400 -0 +0x1f
2021-01-01T00:00:00Z yes Yes YES yES on On off OFF y Y n N no NO true True TRUE tRue false null Null nULL v1 1e 1e-2
"""  # noqa: E501 - a table of words
MAPS = """
y: 1
"n": 2
12:30: 3
1.5: 4
07: 5
deep: &deep {a: [1, {b: "yes"}], c: !!str 12}
merged: {<<: *deep, c: 0o17}
again: *deep
text: |
  on
folded: !!binary aGVsbG8=
"""


def as_kubectl_reads(data: str, directory: Path) -> Any:
    path = directory / "object.yaml"
    path.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n"
        + "".join(f"  {line}\n" for line in data.strip().splitlines())
    )
    finished = subprocess.run(
        [KUBECTL, "label", "--local", "--filename", path, "a=b", "--output=json"],
        capture_output=True,
        check=True,
        timeout=60,
        env={"HOME": str(directory), "PATH": ""},
    )
    return json.loads(finished.stdout)["data"]


def test_every_kind_of_scalar_and_key_is_what_kubectl_makes_of_it(tmp_path: Path) -> None:
    words = PLAIN.split()
    lists = "words:\n" + "".join(f"  - {word}\n" for word in words)
    theirs = as_kubectl_reads(lists + MAPS.strip(), tmp_path)
    (ours,) = read_documents(lists + MAPS)
    told = dict(zip(words, map(repr, ours["words"]), strict=True))
    assert told == dict(zip(words, map(repr, theirs["words"]), strict=True))
    assert ours == theirs


BOMB = "a0: &a0 [1, 1, 1]\n" + "\n".join(
    f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 15)
)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        BOMB,
        "[" * 3000 + "]" * 3000,
        "a: .nan",
        "? [a]\n: b",
        "a: !python/object:os.system b",
        "a: !!set {b}",
        "a: [",
        "a: \udcff",
    ],
)
def test_what_json_does_not_have_and_what_explodes_is_refused(text: str) -> None:
    with pytest.raises(YamlUnreadable):
        read_documents(text)
