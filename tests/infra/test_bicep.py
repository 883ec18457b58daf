"""The Bicep files agree with one another. No Bicep compiler is needed to see that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.infra.bicep import BICEP, FILES, MAIN, PARAMETER_FILES, Bicep

NAMES = [str(path.relative_to(BICEP)) for path in FILES]
every_file = pytest.mark.parametrize("path", FILES, ids=NAMES)
every_parameter_file = pytest.mark.parametrize("path", PARAMETER_FILES, ids=lambda p: p.name)


@pytest.mark.parametrize("path", [*FILES, *PARAMETER_FILES], ids=lambda p: p.name)
def test_the_grammar_reads_every_line(path: Path) -> None:
    assert Bicep(path).errors() == []


@every_file
def test_every_module_is_there_and_gets_its_parameters(path: Path) -> None:
    for used in Bicep(path).modules():
        target = path.parent / used.path
        assert target.is_file(), used.path
        parameters = Bicep(target).parameters()
        assert used.given <= set(parameters), used.name
        assert {name for name, each in parameters.items() if each.required} <= used.given, used.name


def test_every_module_is_used() -> None:
    used = {(path.parent / each.path).resolve() for path in FILES for each in Bicep(path).modules()}
    assert used == {path for path in FILES if path != MAIN}


@every_file
def test_every_output_that_is_read_is_declared(path: Path) -> None:
    file = Bicep(path)
    targets = {used.name: Bicep(path.parent / used.path) for used in file.modules()}
    for module, output in file.outputs_read():
        assert output in targets[module].outputs(), f"{module}.outputs.{output}"


def test_every_output_of_a_module_is_read() -> None:
    main = Bicep(MAIN)
    read = main.outputs_read()
    unread = [
        f"{used.name}.{output}"
        for used in main.modules()
        for output in Bicep(BICEP / used.path).outputs()
        if (used.name, output) not in read
    ]
    # Names and ids are for whoever looks at a deployment by hand.
    assert [each for each in unread if not each.endswith((".name", ".id"))] == []


@every_file
def test_every_parameter_is_described_and_used(path: Path) -> None:
    file = Bicep(path)
    for name, parameter in file.parameters().items():
        assert "description" in parameter.decorators, name
        assert len(re.findall(rf"\b{name}\b", file.source)) > 1, name


@every_file
def test_sizes_kinds_and_regions_are_chosen_from_a_list(path: Path) -> None:
    for name, parameter in Bicep(path).parameters().items():
        if path == MAIN and re.search(r"(Sku|Tier|Zone|location|HighAvailability|Version)$", name):
            assert parameter.allowed, name


@every_file
def test_no_parameter_is_a_secret_and_none_reaches_an_output(path: Path) -> None:
    file = Bicep(path)
    secure = {name for name, each in file.parameters().items() if "secure" in each.decorators}
    for output, value in file.outputs().items():
        assert not [name for name in secure if re.search(rf"\b{name}\b", value)], output
        assert not re.search(r"\blist\w*\(|primaryKey|password", value, re.IGNORECASE), output
    # Nothing here has a password or a key to pass on in the first place.
    assert secure == set()
    assert "listKeys" not in file.source


@every_parameter_file
def test_a_parameter_file_gives_what_is_required_and_what_exists(path: Path) -> None:
    using = re.search(r"^using '(.+)'$", path.read_text(), re.MULTILINE)
    assert using is not None
    assert (path.parent / using[1]).resolve() == MAIN
    parameters = Bicep(MAIN).parameters()
    assigned = Bicep(path).assigned()
    assert assigned <= set(parameters)
    assert {name for name, each in parameters.items() if each.required} <= assigned


@every_parameter_file
def test_a_parameter_file_chooses_allowed_values(path: Path) -> None:
    parameters = Bicep(MAIN).parameters()
    chosen = re.findall(r"^param (\w+) = ('[^']*'|\d+)$", path.read_text(), re.MULTILINE)
    read = r"^param (\w+) = readEnvironmentVariable\('\w+', ('[^']*')\)$"
    chosen += re.findall(read, path.read_text(), re.MULTILINE)
    assert chosen
    for name, value in chosen:
        allowed = parameters[name].allowed
        assert allowed is None or value in allowed, name


TYPES = (
    (r"'[^']*'|readEnvironmentVariable\(.*\)", {"string"}),
    (r"\d+|int\(.*\)", {"int"}),
    (r"true|false|bool\(.*\)", {"bool"}),
    (r"\[.*\]", {"array"}),
    (r"\{.*\}", {"object"}),
    (r"json\(.*\)", {"array", "object"}),
)
"""Forms of a value, and what they can be given to."""


@every_parameter_file
def test_a_parameter_file_gives_values_of_the_right_type(path: Path) -> None:
    parameters = Bicep(MAIN).parameters()
    for name, value in Bicep(path).assignments().items():
        kinds = next((kinds for form, kinds in TYPES if re.fullmatch(form, value, re.S)), None)
        assert kinds is not None, f"{name}: {value} has a form that nobody checks"
        declared = parameters[name].type
        assert ("array" if declared.endswith("[]") else declared) in kinds, name


def test_the_modules_allow_what_main_allows() -> None:
    main = Bicep(MAIN)
    own = main.parameters()
    for used in main.modules():
        block = main.source.partition(f"module {used.name} ")[2].partition("\n}\n")[0]
        parameters = Bicep(BICEP / used.path).parameters()
        for name, given in re.findall(r"^    (\w+): (\w+)$", block, re.MULTILINE):
            if given in own and parameters[name].allowed is not None:
                assert own[given].allowed == parameters[name].allowed, f"{used.name}.{name}"
