"""JWTs made and checked, and the keys for it: the only home of PyJWT."""
