"""The agent: runs in each cluster, reconciles what the control plane declares, and reports."""
