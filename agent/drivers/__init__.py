"""helm and kubectl; nothing else in the agent starts a process."""
