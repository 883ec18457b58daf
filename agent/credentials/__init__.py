"""The agent's identity: its key, its certificate, whom it trusts, and where these are kept."""
