from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from arcbridge.cli.manifests import read_manifests


def write(folder: Path, name: str, *depends_on: str) -> None:
    document = {
        "kind": "Extension",
        "metadata": {"name": name},
        "spec": {"dependsOn": list(depends_on)},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"app": ["db"], "db": ["net"], "net": []}, ["net", "db", "app"]),
        ({"a": [], "b": ["elsewhere"], "c": []}, ["a", "c", "b"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b"]),
    ],
    ids=["dependencies first", "one that is not here", "a cycle is the server's to refuse"],
)
def test_a_folder_is_read_with_dependencies_first(
    tmp_path: Path, declared: dict[str, list[str]], expected: list[str]
) -> None:
    for name, needs in declared.items():
        write(tmp_path, name, *needs)
    assert [each["metadata"]["name"] for each in read_manifests([tmp_path])] == expected


def test_documents_without_a_shape_keep_their_order(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("kind: Extension\nspec: 3\n---\nkind: Extension\nmetadata: [1]\n")
    assert [each.get("spec") for each in read_manifests([file])] == [3, None]
