"""Handle a request: find its route, add its token, send it; after a 401 bust the token and send the request again."""
