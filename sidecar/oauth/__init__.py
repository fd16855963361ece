"""A token request and its answer (RFC 6749, 7523, 8693), JWTs, issuer metadata and signing keys."""
