"""Brings the cluster to what the desired document says, and says how that went."""
