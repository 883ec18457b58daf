"""`make demo`: ArcBridge does its main job on five clusters while you watch.

Seven steps, each checked on the live objects through `kubectl` and `helm`, not on what ArcBridge
says of itself. Everything is done through the public surface: the `arcbridge` command and `kubectl
apply`. With KUBECONFIG set, each of its contexts is one of the clusters, and every step is the
same.
"""
