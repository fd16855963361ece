"""Which of the two builds of this package runs. The request path is compiled where this module is."""

from typing import Literal


def build() -> Literal["pure", "compiled"]:
    """Return `compiled` when the modules a request runs through are native code, else `pure`."""
    return "pure" if __file__.endswith((".py", ".pyc")) else "compiled"
