"""What makes a cluster live: stand-ins for the controllers, the scheduler and the kubelet.

Each controller is a function `reconcile(cluster, key)` that looks at the store and writes what is
missing. They run one at a time, between requests, and only when something changed or a timer is
due: an idle cluster costs nothing.
"""
