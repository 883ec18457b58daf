"""The common module: everything the control plane, the relay and the agent share."""
