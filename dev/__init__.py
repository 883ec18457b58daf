"""For development only, never shipped: the local stack, simulated clusters, the demo and the checks."""
