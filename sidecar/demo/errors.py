"""What ends the demo."""


class Unexpected(Exception):
    """What the demo was to show did not happen."""
