"""The relay: holds the agents' streams; it keeps no state that a reconnect does not rebuild."""
