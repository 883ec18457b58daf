"""Who someone is: certificates, tokens, signed assertions, roles.

Decides from what it is given; the database and Redis are for the services. The only I/O here is
fetching an identity provider's keys and asking Key Vault for a signature.
"""
