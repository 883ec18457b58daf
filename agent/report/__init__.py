"""Brings the journal's events to the control plane until each is acknowledged."""
