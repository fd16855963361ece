"""The generation of a key: a number that every bust increases, in every pod the same way.

A fill counts only while the generation is still the one its fetch began under, so a slow fetch never brings back what
was bust meanwhile. A pod that missed messages compares generations to find which of its tokens are outdated.
"""


def following(known: int, now: float) -> int:
    """Return the generation a bust moves to: `now` in milliseconds, but always past what is known.

    It contains the time, so that it is new even if the known one was lost, by a flush or because it expired.
    """
    return max(known + 1, int(now * 1000))
