"""The generation of a key: a number that every bust moves on, in every pod the same way.

A fill counts only while the generation is still the one its fetch began under, so a slow fetch never brings
back what was bust meanwhile; and a pod that missed messages sees by it which of its tokens are behind.
"""


def following(known: int, now: float) -> int:
    """Return the generation a bust moves to: `now` in milliseconds, but always past what is known.

    The time in it makes it new also where the known one was lost, by a flush or because it expired.
    """
    return max(known + 1, int(now * 1000))
