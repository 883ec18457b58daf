"""The Azure Functions: one module per resource or timer, each thin over `shared.services`."""
