"""The Azure Functions: one module per resource or timer, each endpoint thin over `shared.services`."""
