"""Tests here speak HTTP to a running control plane."""

from __future__ import annotations

from tests.running_fixture import running

__all__ = ["running"]
