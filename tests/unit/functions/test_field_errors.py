"""What a wrong field is answered with: where it is, and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from functions.edge.field_errors import invalid
from shared.contract.errors import FieldError
from shared.contract.extension import ExtensionManifest
from shared.contract.violations import path_text

ADAPTER = TypeAdapter(ExtensionManifest)
GOOD: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {
        "placement": {},
        "namespace": "web",
        "source": {"kustomize": {"files": {"kustomization.yaml": ""}}},
        "rollout": {"stages": [{"name": "canary"}, {"name": "broad"}]},
    },
}


def errors(**changes: Any) -> tuple[FieldError, ...]:
    """The field errors of the good manifest with values put in at dotted paths."""
    document = json.loads(json.dumps(GOOD))
    for path, value in changes.items():
        node = document
        *parents, last = path.split("__")
        for part in parents:
            node = node[int(part)] if part.isdigit() else node[part]
        node[last] = value
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_json(json.dumps(document), strict=True, by_alias=True, by_name=False)
    return invalid(caught.value, ADAPTER, "body").errors


def test_the_good_manifest_is_good() -> None:
    ADAPTER.validate_json(json.dumps(GOOD), strict=True)


@pytest.mark.parametrize(
    ("path", "field", "remedy"),
    [
        ("spec__placment", "spec.placment", "did you mean placement?"),
        ("spec__depends_on", "spec.depends_on", "did you mean dependsOn?"),
        ("metadata__nmae", "metadata.nmae", "did you mean name?"),
        (
            "spec__rollout__stages__1__maxConcurent",
            "spec.rollout.stages[1].maxConcurent",
            "did you mean maxConcurrent?",
        ),
        ("spec__source__kustomize__pth", "spec.source.kustomize.pth", "did you mean path?"),
    ],
)
def test_an_unknown_field_gets_the_nearest_known_name(path: str, field: str, remedy: str) -> None:
    (error,) = errors(**{path: 1})
    assert (error.field, error.remedy) == (field, remedy)


def test_a_field_like_no_other_gets_the_list_of_known_ones() -> None:
    (error,) = errors(metadata__zzzzzz=1)
    assert error.remedy == "remove it; known here: annotations, labels, name"


def test_a_value_of_the_wrong_shape_says_which_is_right() -> None:
    (error,) = errors(spec__rollout__stages__0__soak="10mfoo")
    assert error.field == "spec.rollout.stages[0].soak"
    assert "write it as 90s" in error.message
    (error,) = errors(spec__drift={"mode": "fix"})
    assert error.remedy == "use 'off', 'warn' or 'correct'"


def test_what_was_sent_is_never_repeated() -> None:
    found = errors(metadata__token="hunter2", spec__namespace="hunter2 hunter2")
    assert "hunter2" not in json.dumps([each.to_wire() for each in found])


def test_a_location_reads_like_a_path() -> None:
    assert path_text(("spec", "stages", 0, "name")) == "spec.stages[0].name"
    assert path_text(()) == ""


def test_a_name_is_explained_in_words() -> None:
    (error,) = errors(metadata__name="Web_1")
    assert "use a-z, 0-9 and -" in (error.remedy or "")


def test_a_text_that_is_too_long_is_counted_in_characters() -> None:
    (error,) = errors(reason="x" * 600)
    assert error.message == "has 600 characters; 512 are allowed"
