"""Joining the control plane: a bootstrap token and a fresh key become a certificate."""
