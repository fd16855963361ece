"""`sidecar demo`."""

import argparse

MEANING = "show in a minute what the sidecar does, on loopback, without any setup"
EXAMPLE = "sidecar demo"


def add_flags(_: argparse.ArgumentParser) -> None:
    """Add no flags."""


def execute(_: argparse.Namespace) -> int:
    """Play the demo."""
    import uvloop

    from sidecar.demo.play import main as demo
    from sidecar.demo.start import start_for_demo

    return demo(start_for_demo, uvloop.new_event_loop)
