"""Config → started servers. The only module that knows every other."""
