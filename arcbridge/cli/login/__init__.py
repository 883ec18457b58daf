"""Getting access tokens: OAuth grants against an OpenID provider, azure-identity, and the cache."""
