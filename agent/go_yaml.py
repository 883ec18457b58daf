"""Reads YAML as the API server, helm and kubectl do: by the rules of go-yaml 2, into JSON's types.

PyYAML's own rules differ where it hurts: to them `12:30` is 750, `1e3` and `0o644` are text, and
`=` is an error. Aliases are followed as there, and a text that they make into far more than it
holds is refused. Source: go-yaml's resolve.go and sigs.k8s.io/yaml.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any, ClassVar

import yaml

_NODES_LIMIT = 2_000_000
"""Values that one text may stand for."""
_DEPTH_LIMIT = 200
"""What walks through the values calls itself; no object of Kubernetes comes near."""
_TOO_DEEP = "it is nested too deeply"
_NULL, _BOOL, _NUMBER, _MERGE, _TEXT, _BINARY = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "float", "merge", "str", "binary")
)
_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_INTEGER = re.compile(r"[-+]?(0[bB][01]+|0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGERS = (-(2**63), 2**64 - 1)
_WHOLE_BELOW = 1e21
"""Whole numbers below this are written without an exponent."""


class YamlUnreadable(ValueError):
    """The text is not YAML, or stands for what JSON does not have."""


def read_documents(text: str) -> list[Any]:
    """Every document of a text, in order. Raises YamlUnreadable."""
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise YamlUnreadable(_first_line(error)) from error
    except UnicodeError as error:
        raise YamlUnreadable("it is not UTF-8") from error
    except RecursionError as error:
        raise YamlUnreadable(_TOO_DEEP) from error
    sizes: dict[int, int] = {}
    if sum(_size(document, sizes, 0) for document in documents) > _NODES_LIMIT:
        raise YamlUnreadable("it stands for too much")
    return documents


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # one of two bases
    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        **{first: [(_NUMBER, re.compile(r"\S"))] for first in "+-.0123456789"},
        **{first: [(_BOOL, re.compile("|".join(_TRUE | _FALSE) + r"\Z"))] for first in "yYtTfFoO"},
        **{
            first: [
                (_NULL, re.compile(r"(null|Null|NULL)\Z")),
                (_BOOL, re.compile(rf"({'|'.join(_FALSE)})\Z")),
            ]
            for first in "nN"
        },
        "~": [(_NULL, re.compile(r"~\Z"))],
        "": [(_NULL, re.compile(r"\Z"))],
        "<": [(_MERGE, re.compile(r"<<\Z"))],
    }
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def number(self, node: yaml.Node) -> Any:
        return _number(self.construct_scalar(node))

    def truth(self, node: yaml.Node) -> Any:
        text = self.construct_scalar(node)
        return text in _TRUE if text in _TRUE | _FALSE else text

    def nothing(self, node: yaml.Node) -> None:
        self.construct_scalar(node)

    def text(self, node: yaml.Node) -> Any:
        return self.construct_scalar(node)

    def binary(self, node: yaml.Node) -> str:
        try:
            return base64.b64decode(self.construct_scalar(node)).decode(errors="replace")
        except binascii.Error as error:
            raise _error(node, "!!binary is not base64") from error

    def mapping(self, node: yaml.MappingNode) -> Any:
        found: dict[str, Any] = {}
        yield found
        self.flatten_mapping(node)
        for key, value in node.value:
            name = _key(key, self.construct_object(key, deep=True))
            found[name] = self.construct_object(value, deep=True)

    def refused(self, node: yaml.Node) -> None:
        raise _error(node, f"the tag {node.tag} is not known")


_Loader.yaml_constructors = {
    _NULL: _Loader.nothing,
    _BOOL: _Loader.truth,
    _NUMBER: _Loader.number,
    "tag:yaml.org,2002:int": _Loader.number,
    _TEXT: _Loader.text,
    _MERGE: _Loader.text,
    _BINARY: _Loader.binary,
    "tag:yaml.org,2002:seq": yaml.SafeLoader.construct_yaml_seq,
    "tag:yaml.org,2002:map": _Loader.mapping,
    None: _Loader.refused,
}


def _number(text: str) -> int | float | str:
    """The number, or the text where it is none."""
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(plain):
        digits = plain.lstrip("+-")
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        value = int(f"0o{digits}" if octal else digits, 0) * (-1 if plain[0] == "-" else 1)
        if _INTEGERS[0] <= value <= _INTEGERS[1]:
            return value
    if _NOT_FINITE.fullmatch(text):
        raise yaml.constructor.ConstructorError(None, None, f"{text} is no number of JSON")
    if not _FLOAT.fullmatch(text if text.startswith(".") else plain):
        return text
    found = float(plain)
    if math.isinf(found):
        return text
    return int(found) if found.is_integer() and abs(found) < _WHOLE_BELOW else found


def _key(node: yaml.Node, key: Any) -> str:
    """As JSON has it."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str | int | float):
        return str(key)
    raise _error(node, "a key has to be text")


def _error(node: yaml.Node, message: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)


def _size(value: Any, sizes: dict[int, int], depth: int) -> int:
    """How many values it stands for once aliases are written out; each is looked at once."""
    if not isinstance(value, dict | list):
        return 1
    if depth > _DEPTH_LIMIT:
        raise YamlUnreadable(_TOO_DEEP)
    if (known := sizes.get(id(value))) is not None:
        return known
    sizes[id(value)] = _NODES_LIMIT + 1  # met again before it was counted, it holds itself
    items = value.values() if isinstance(value, dict) else value
    sizes[id(value)] = 1 + sum(_size(item, sizes, depth + 1) for item in items)
    return sizes[id(value)]


def _first_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"line {mark.line + 1}: {said}" if mark else str(said or "it is not YAML")
