"""The use-cases: each a function that opens its own transaction and raises ArcBridgeError."""
