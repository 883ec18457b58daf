"""One leader among the replicas, by a Lease."""
