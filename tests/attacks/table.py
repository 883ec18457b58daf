"""The whole table: importing the modules fills it, in the order of the documentation."""

from __future__ import annotations

# isort: off
# isort: on
from tests.attacks.attack import TABLE

__all__ = ["TABLE"]
