"""What goes over the wire: pydantic models, error and reason codes, limits. No I/O, no clock.

Field names are camelCase on the wire and snake_case in Python; times are RFC 3339 in UTC.
Everything here may be imported by every part, the operator's client included.
"""
