"""Clients and servers of the gRPC project's interoperability cases, each built with the tools of its language."""
