"""JWTs made and checked: the only home of PyJWT."""
