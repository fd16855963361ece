"""The error that ends the demo."""


class Unexpected(Exception):
    """A scene did not have its expected effect."""
