"""The agent: runs in each cluster, reconciles what the control plane declares, and reports."""

__version__ = "0.1.0"
