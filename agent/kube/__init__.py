"""The agent's way to the Kubernetes API; nothing else in the agent opens a connection to it."""
