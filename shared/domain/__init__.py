"""The rules of the domain as pure functions and frozen values: no I/O, no clock, no randomness.

Each module is imported for itself; the wire models they work on stand in `shared.contract`.
"""
