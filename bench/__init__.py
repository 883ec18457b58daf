"""Benchmarks: each figure stands beside its limit, or beside the bare work, measured in one run."""
