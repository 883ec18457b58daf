"""For development only, never shipped: local stack, simulated clusters, the demo, the checks."""
