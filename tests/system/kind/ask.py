"""The application's other part: asks the sidecar until it is answered, a minute long at most."""

import os
import time
from urllib.request import urlopen

URL = os.environ.get("SIDECAR_URL", "http://127.0.0.1:9180/hello")
LIMIT = 60.0


def ask() -> None:
    """Raise what the last of the requests was answered with if it never was hello."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            with urlopen(URL, timeout=5) as answer:
                assert answer.read() == b"hello"
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return


if __name__ == "__main__":
    ask()
    print("the sidecar answered: hello")
