"""The operator's client library and command line, over the HTTP API only."""
