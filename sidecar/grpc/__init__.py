"""gRPC over HTTP/2: calls that are refused with a status, and how long a call may take."""
