"""Turns helm's words into a reason code. Pure.

helm has one exit status for everything, so its wording is all there is; what is not recognised
stays an InstallFailed or UpgradeFailed, which is always true.
"""

from __future__ import annotations

import re

from agent.errors import StepFailed, ToolError, ToolTimedOut
from shared.contract.reasons import ReasonCode

_SCHEMA = ("values don't meet the specifications of the schema",)
_BUILD = (
    "execution error at (",
    "template: ",
    "parse error at (",
    "YAML parse error on",
    "error converting YAML to JSON",
    "chart requires kubeVersion",
    "found in Chart.yaml, but missing in charts/ directory",
    "unable to build kubernetes objects from",
    "Chart.yaml file is missing",
    "validation: chart.metadata",
    "error validating data",
)
_PASSING = (
    "Internal error occurred",
    "Kubernetes cluster unreachable",
    "Timeout: request did not complete",
    "TLS handshake timeout",
    "an error on the server",
    "apiserver is shutting down",
    "apiserver not ready",
    "connection refused",
    "connection reset by peer",
    "etcdserver: ",
    "http2: client connection lost",
    "i/o timeout",
    "the server has received too many requests",
    "the server is currently unable to handle the request",
    "the server was unable to return a response",
)
"""What client-go says of a server that answers with 429 or 5xx, or does not answer."""
_NO_KIND = "no matches for kind"
_REFUSED = re.compile(r'"[^"\n]+" is invalid: ')
_SOMEONE_ELSES = re.compile(
    r'(\w+) "([^"\n]+)" in namespace "([^"\n]*)" exists and cannot be imported'
)
_CONFLICT = re.compile(r'conflicts? with "([^"]+)"[^:]*:\s*((?:-?\s*\.[^\n]+\n?)+)')


def helm_failure(error: ToolError, *, first: bool) -> StepFailed:
    """The failure of an install (`first`) or an upgrade."""
    applying = ReasonCode.INSTALL_FAILED if first else ReasonCode.UPGRADE_FAILED
    if isinstance(error, ToolTimedOut):
        return StepFailed(applying, str(error))
    text, message = error.output, _without_prefix(str(error))
    if any(mark in text for mark in _SCHEMA):
        return StepFailed(ReasonCode.VALUES_INVALID, message, final=True)
    found = _CONFLICT.search(text)
    if found is not None:
        fields = " ".join(found[2].split())
        return StepFailed(ReasonCode.APPLY_CONFLICT, f"{fields} is owned by {found[1]}: {message}")
    passing = is_passing(error)
    if any(mark in text for mark in _BUILD):
        # A kind that is missing now may come with another extension.
        final = not passing and _NO_KIND not in text
        return StepFailed(ReasonCode.BUILD_FAILED, message, final=final, passing=passing)
    return StepFailed(applying, message, passing=passing)


def uninstall_failure(error: ToolError) -> StepFailed:
    """The failure of taking a release away."""
    return StepFailed(ReasonCode.UNINSTALL_FAILED, str(error), passing=is_passing(error))


def is_passing(error: ToolError) -> bool:
    """Whether helm gave up for the API server's own trouble. Only its last word counts: before that
    may stand what hooks have logged."""
    verdict = error.output.rpartition("Error: ")[2]
    passing = any(mark in verdict for mark in _PASSING)
    return passing and "request is too large" not in verdict


def someone_elses(error: ToolError) -> tuple[str, str, str] | None:
    """Kind, namespace and name of the object that helm does not take, for it did not make it."""
    found = _SOMEONE_ELSES.search(error.output)
    return (found[1], found[3], found[2]) if found else None


def is_refused(error: ToolError) -> bool:
    """Whether the API server called an object invalid (422) that helm applied."""
    return _REFUSED.search(error.output) is not None


def lacks_kind(error: ToolError) -> bool:
    """Whether helm gave up for a kind that the cluster does not have."""
    return _NO_KIND in error.output


def _without_prefix(message: str) -> str:
    return re.sub(r"^(Error: |UPGRADE FAILED: |INSTALLATION FAILED: )+", "", message)
