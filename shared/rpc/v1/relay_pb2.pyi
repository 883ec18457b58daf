import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentMessage(_message.Message):
    __slots__ = ("hello", "heartbeat", "inventory_full", "inventory_delta", "traceparent")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FULL_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_DELTA_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    inventory_full: InventoryFull
    inventory_delta: InventoryDelta
    traceparent: str
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., inventory_full: _Optional[_Union[InventoryFull, _Mapping]] = ..., inventory_delta: _Optional[_Union[InventoryDelta, _Mapping]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class RelayMessage(_message.Message):
    __slots__ = ("welcome", "desired_changed", "inventory_resync", "drain", "ack", "notice", "ca_bundle", "traceparent")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    DESIRED_CHANGED_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_RESYNC_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    CA_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    desired_changed: DesiredChanged
    inventory_resync: InventoryResync
    drain: Drain
    ack: Ack
    notice: Notice
    ca_bundle: CaBundle
    traceparent: str
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., desired_changed: _Optional[_Union[DesiredChanged, _Mapping]] = ..., inventory_resync: _Optional[_Union[InventoryResync, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ..., ca_bundle: _Optional[_Union[CaBundle, _Mapping]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("last_session_epoch", "agent_version", "kubernetes_version", "distribution", "desired_digest", "inventory_checksum", "agent_time", "instance_id", "ca_bundle_digest", "acknowledged_sequence")
    LAST_SESSION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    KUBERNETES_VERSION_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    DESIRED_DIGEST_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    AGENT_TIME_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CA_BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    last_session_epoch: int
    agent_version: str
    kubernetes_version: str
    distribution: str
    desired_digest: str
    inventory_checksum: str
    agent_time: _timestamp_pb2.Timestamp
    instance_id: str
    ca_bundle_digest: str
    acknowledged_sequence: int
    def __init__(self, last_session_epoch: _Optional[int] = ..., agent_version: _Optional[str] = ..., kubernetes_version: _Optional[str] = ..., distribution: _Optional[str] = ..., desired_digest: _Optional[str] = ..., inventory_checksum: _Optional[str] = ..., agent_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., instance_id: _Optional[str] = ..., ca_bundle_digest: _Optional[str] = ..., acknowledged_sequence: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("sequence", "agent_time", "extensions", "extensions_ready", "extensions_failed", "extensions_drifted", "reports_pending", "desired_digest", "ca_bundle_digest")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AGENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_READY_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_FAILED_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_DRIFTED_FIELD_NUMBER: _ClassVar[int]
    REPORTS_PENDING_FIELD_NUMBER: _ClassVar[int]
    DESIRED_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CA_BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    agent_time: _timestamp_pb2.Timestamp
    extensions: int
    extensions_ready: int
    extensions_failed: int
    extensions_drifted: int
    reports_pending: int
    desired_digest: str
    ca_bundle_digest: str
    def __init__(self, sequence: _Optional[int] = ..., agent_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., extensions: _Optional[int] = ..., extensions_ready: _Optional[int] = ..., extensions_failed: _Optional[int] = ..., extensions_drifted: _Optional[int] = ..., reports_pending: _Optional[int] = ..., desired_digest: _Optional[str] = ..., ca_bundle_digest: _Optional[str] = ...) -> None: ...

class InventoryObject(_message.Message):
    __slots__ = ("kind", "namespace", "name", "data")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    kind: str
    namespace: str
    name: str
    data: bytes
    def __init__(self, kind: _Optional[str] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class InventoryFull(_message.Message):
    __slots__ = ("chunk", "last", "checksum", "objects")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    chunk: int
    last: bool
    checksum: str
    objects: _containers.RepeatedCompositeFieldContainer[InventoryObject]
    def __init__(self, chunk: _Optional[int] = ..., last: _Optional[bool] = ..., checksum: _Optional[str] = ..., objects: _Optional[_Iterable[_Union[InventoryObject, _Mapping]]] = ...) -> None: ...

class InventoryDelta(_message.Message):
    __slots__ = ("base_checksum", "checksum", "added", "changed", "removed")
    BASE_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    base_checksum: str
    checksum: str
    added: _containers.RepeatedCompositeFieldContainer[InventoryObject]
    changed: _containers.RepeatedCompositeFieldContainer[InventoryObject]
    removed: _containers.RepeatedCompositeFieldContainer[InventoryObject]
    def __init__(self, base_checksum: _Optional[str] = ..., checksum: _Optional[str] = ..., added: _Optional[_Iterable[_Union[InventoryObject, _Mapping]]] = ..., changed: _Optional[_Iterable[_Union[InventoryObject, _Mapping]]] = ..., removed: _Optional[_Iterable[_Union[InventoryObject, _Mapping]]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_epoch", "heartbeat_seconds", "server_time", "relay_id", "report_again")
    SESSION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    RELAY_ID_FIELD_NUMBER: _ClassVar[int]
    REPORT_AGAIN_FIELD_NUMBER: _ClassVar[int]
    session_epoch: int
    heartbeat_seconds: float
    server_time: _timestamp_pb2.Timestamp
    relay_id: str
    report_again: bool
    def __init__(self, session_epoch: _Optional[int] = ..., heartbeat_seconds: _Optional[float] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., relay_id: _Optional[str] = ..., report_again: _Optional[bool] = ...) -> None: ...

class DesiredChanged(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class InventoryResync(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Drain(_message.Message):
    __slots__ = ("spread_seconds",)
    SPREAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    spread_seconds: float
    def __init__(self, spread_seconds: _Optional[float] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("heartbeat_sequence", "inventory_checksum")
    HEARTBEAT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    heartbeat_sequence: int
    inventory_checksum: str
    def __init__(self, heartbeat_sequence: _Optional[int] = ..., inventory_checksum: _Optional[str] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class CaBundle(_message.Message):
    __slots__ = ("bundle", "digest")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    digest: str
    def __init__(self, bundle: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class RenewCertificateRequest(_message.Message):
    __slots__ = ("csr",)
    CSR_FIELD_NUMBER: _ClassVar[int]
    csr: str
    def __init__(self, csr: _Optional[str] = ...) -> None: ...

class RenewCertificateResponse(_message.Message):
    __slots__ = ("certificate_chain", "ca_bundle", "not_after", "serial")
    CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    CA_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    certificate_chain: str
    ca_bundle: str
    not_after: _timestamp_pb2.Timestamp
    serial: str
    def __init__(self, certificate_chain: _Optional[str] = ..., ca_bundle: _Optional[str] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., serial: _Optional[str] = ...) -> None: ...
