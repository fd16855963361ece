"""One process of `make fuzz`: atheris on one target. Only this module imports atheris.

`python -m tests.fuzz.fuzzer NAME OPTION...`, with options of libFuzzer.
"""

import sys

import atheris

from tests.fuzz.target import load


def main() -> None:
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["sidecar"]):
        target = load(name)
    atheris.Setup([sys.argv[0], *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
