"""The use-cases: each is one function that decides, acts in one transaction, and says what it did.

They take the `ControlPlane` and the `Caller`, raise ArcBridgeError, and know nothing of HTTP and
gRPC. Who may call which is decided at the edge; here only the tenant counts.
"""
