"""The whole of ArcBridge on one machine: every part as the process that it is elsewhere.

Real PostgreSQL and Redis, the Functions app in the local host, the relay, an OpenID issuer,
Kubernetes clusters (simulated, or those of a kubeconfig) and one agent process for each. The parts
only meet where they meet in production: HTTP, gRPC, PostgreSQL, Redis, the Kubernetes API. Each
process is restarted when it ends, as a container platform would, and none outlives the program that
started the stack.
"""
