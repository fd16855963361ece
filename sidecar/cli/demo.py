"""`sidecar demo`."""

import argparse

MEANING = "watch what the sidecar does, in a minute, on loopback and with nothing set up"
EXAMPLE = "sidecar demo"


def add_flags(_: argparse.ArgumentParser) -> None:
    """There are none."""


def execute(_: argparse.Namespace) -> int:
    """Play the demo."""
    import uvloop

    from sidecar.app.for_demo import start_for_demo
    from sidecar.demo import main as demo

    return demo(start_for_demo, uvloop.new_event_loop)
