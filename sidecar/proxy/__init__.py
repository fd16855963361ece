"""A request: find its route, add its token, send it; after a 401 bust the token and send it once more."""
