"""The OpenAPI 3.1 document, made from the endpoints' declarations and the pydantic models."""
