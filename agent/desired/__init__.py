"""Fetches the cluster's desired document and hands it on, complete or not at all."""
