"""The messages between host and worker, as far as the worker library touches them.

The library is handed its message classes from outside, so that it carries no protobuf of its own.
These have the same fields and the same `WhichOneof` as the generated ones of
azure-functions-language-worker-protobuf (FunctionRpc.proto), and no wire format.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """A message: its fields are what it was made with."""

    def WhichOneof(self, group: str) -> str | None:
        """The one field that is set; the only union here is the whole message."""
        del group
        fields = [name for name in vars(self) if name not in ("name",)]
        return fields[0] if fields else None


class BindingInfo(Message):
    undefined = 0
    out = 1
    inout = 2


class StatusResult(Message):
    Failure = 0
    Success = 1


class Protos:
    """What the library looks its classes up in."""

    BindingInfo = BindingInfo
    StatusResult = StatusResult

    def __getattr__(self, name: str) -> type[Message]:
        return Message


def request(**fields: Any) -> Message:
    """A streaming message to the worker, with what the worker process puts beside it."""
    return Message(request=Message(**fields), properties={"host": "127.0.0.1", "protos": Protos()})


def invocation(function_id: str, parameter: str, data: Message) -> Message:
    """The host asks for one run of a function."""
    return request(
        invocation_request=Message(
            invocation_id="11111111-1111-4111-8111-111111111111",
            function_id=function_id,
            input_data=[Message(name=parameter, data=data)],
            trigger_metadata={},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
    )


def http_data(
    method: str, url: str, *, headers: dict[str, str], params: dict[str, str], body: bytes
) -> Message:
    """An HTTP request as the host sends it."""
    query = dict(part.split("=", 1) for part in url.partition("?")[2].split("&") if part)
    return Message(
        http=Message(
            method=method,
            url=url,
            headers=headers,
            params=params,
            query=query,
            body=Message(bytes=body),
        )
    )
