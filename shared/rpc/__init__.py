"""The gRPC contract: generated code under `v1`, and how errors become gRPC statuses."""
