"""The control plane's REST API, as far as an agent uses it."""
