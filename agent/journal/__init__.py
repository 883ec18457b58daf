"""What the agent must not forget: its desired document, its unacknowledged reports, its epoch."""
