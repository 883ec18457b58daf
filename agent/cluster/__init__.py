"""The ArcBridgeCluster resource: what it asks for, and what the agent shows there."""
