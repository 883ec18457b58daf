"""Reads Kubernetes' protobuf request bodies into JSON: typed Go clients send nothing else.

Answers are always JSON, which those clients accept. The types come from the client library's
models, the field numbers from `protobuf_fields.txt`. Wire format: https://protobuf.dev/programming-guides/encoding/;
envelope: `k8s\\0` and a `runtime.Unknown`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Final

from dev.kube.builtin_schema import builtin_node
from dev.kube.errors import StatusError, bad_request, unsupported_media_type
from dev.kube.schema import Json, Node

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_PREFIXES: Final = ("V1", "CoreV1", "AuthenticationV1")
#: Go pointers: zero and false mean something there, everywhere else they mean "not set".
_POINTERS: Final = frozenset({
    "activeDeadlineSeconds", "allocateLoadBalancerNodePorts", "allowPrivilegeEscalation",
    "automountServiceAccountToken", "backoffLimit", "blockOwnerDeletion", "completions",
    "controller", "defaultMode", "enableServiceLinks", "expirationSeconds",
    "failedJobsHistoryLimit", "fsGroup", "gracePeriodSeconds", "immutable", "leaseDurationSeconds",
    "leaseTransitions", "maxUnavailable", "minAvailable", "minReplicas", "mode", "optional",
    "orphanDependents", "parallelism", "partition", "port", "privileged",
    "progressDeadlineSeconds", "readOnlyRootFilesystem", "replicas", "revisionHistoryLimit",
    "runAsGroup", "runAsNonRoot", "runAsUser", "successfulJobsHistoryLimit", "suspend",
    "terminationGracePeriodSeconds", "ttlSecondsAfterFinished",
})  # fmt: skip


def decode(body: bytes) -> Json:
    """The object in a protobuf body; raises `StatusError` 400 or 415."""
    if not body.startswith(_MAGIC):
        raise bad_request("the body of the request is not Kubernetes protobuf")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        meta = dict(_fields(envelope.get(1, b"")))
        api_version, kind = (str(meta.get(number, b""), "utf-8") for number in (1, 2))
        model = _model(api_version, kind)
        return {
            "apiVersion": api_version,
            "kind": kind,
            **_message(builtin_node(model), model, envelope.get(2, b"")),
        }
    except (IndexError, ValueError, TypeError) as error:
        raise bad_request(f"the body of the request cannot be decoded: {error}") from error


def _model(api_version: str, kind: str) -> str:
    if (api_version, kind) == ("events.k8s.io/v1", "Event"):
        return "EventsV1Event"
    for prefix in _MODEL_PREFIXES:
        if prefix + kind in _numbers():
            return prefix + kind
    raise _unknown(api_version, kind)


def _unknown(api_version: str, kind: str) -> StatusError:
    wanted = ["application/json", "application/yaml"]
    return unsupported_media_type(f"{MEDIA_TYPE} of {api_version} {kind}", wanted)


@cache
def _numbers() -> dict[str, dict[int, str]]:
    """Member names by field number, for every message of the table."""
    text = resources.files("dev.kube").joinpath("protobuf_fields.txt").read_text()
    table = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, *fields = line.split()
        pairs = (field.split("=") for field in fields)
        table[name] = {int(number): member for member, number in pairs}
    return table


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers with raw values: integers for numbers, bytes for the rest."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        value: int | bytes
        if wire == _VARINT:
            value, at = _varint(data, at)
        elif wire == _BYTES:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("truncated message")
            value, at = data[at : at + size], at + size
        elif wire in {_FIXED64, _FIXED32}:
            size = 8 if wire == _FIXED64 else 4
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {wire}")
        yield number, value


def _message(node: Node, name: str, data: bytes) -> Json:
    result: Json = {}
    numbers = _numbers().get(name, {})
    for number, raw in _fields(data):
        member = numbers.get(number)
        if member is None:
            continue
        if member.startswith("*"):
            result.update(_message(node, f"+{member[1:]}", raw))
        else:
            _put(result, member, node.fields[member], raw, secret=name == "V1Secret")
    return result


def _put(result: Json, member: str, node: Node, raw: Any, *, secret: bool) -> None:
    if node.type == "array":
        value = _value(node.items or Node(), member, raw)
        result.setdefault(member, []).append(value)
    elif node.type == "object" and node.values is not None and not node.name:
        entry = dict(_fields(raw))
        key = str(entry.get(1, b""), "utf-8")
        result.setdefault(member, {})[key] = _entry(
            node.values, member, entry.get(2, b""), secret=secret
        )
    else:
        value = _value(node, member, raw)
        if value not in ("", None) and (value or member in _POINTERS or value == {}):
            result[member] = value


def _entry(node: Node, member: str, raw: bytes, *, secret: bool) -> Any:
    if member == "binaryData" or (member == "data" and secret):
        return base64.b64encode(raw).decode()
    if node.type == "string" and member in _QUANTITIES:
        return str(dict(_fields(raw)).get(1, b""), "utf-8")
    return _value(node, member, raw)


#: Maps of `resource.Quantity`, which is a message around a string.
_QUANTITIES: Final = frozenset({"limits", "requests", "hard", "overhead", "capacity"})


def _value(node: Node, member: str, raw: Any) -> Any:
    if node.name:
        return _message(node, node.name, raw)
    if isinstance(raw, int):
        if node.type == "boolean":
            return bool(raw)
        return raw - (1 << 64) if raw >= 1 << 63 else raw
    if node.format == "date-time":
        return _time(raw)
    if node.int_or_string:
        return _int_or_string(raw)
    if member in {"fieldsV1", "object"} or (node.preserve_unknown and not node.type):
        inner = dict(_fields(raw)).get(1)
        return json.loads(inner) if inner else None
    if member in {"sizeLimit", "divisor"}:
        return str(dict(_fields(raw)).get(1, b""), "utf-8")
    return str(raw, "utf-8")


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_fields(raw))
    if parts.get(1):
        return str(parts.get(3, b""), "utf-8")
    return int(parts.get(2, 0))


def _time(raw: bytes) -> str | None:
    parts = dict(_fields(raw))
    if not parts:
        return None
    moment = datetime.fromtimestamp(int(parts.get(1, 0)), UTC)
    nanos = int(parts.get(2, 0))
    micro = f".{nanos // 1000:06d}" if nanos else ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + micro + "Z"
