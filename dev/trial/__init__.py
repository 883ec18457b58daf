"""Takes charts and overlays that others wrote through a whole life on a cluster, by the agent's
own engine, and judges by what helm and the cluster say of it.

Nothing of what is tried stands in the repository: a list outside of it names local files.
"""
