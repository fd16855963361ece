"""Signals before there is an event loop."""

import os
import signal

import pytest

from sidecar.system import early_signals


def test_s17_a_sighup_is_remembered() -> None:
    """However many; and then it is the system's again."""
    before = signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGTERM)
    with early_signals.remembered() as hung_up:
        assert not hung_up()
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
        assert hung_up()
    assert (signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGTERM)) == before


def test_s17_a_sigterm_ends_the_process_with_success() -> None:
    """Wherever it is."""
    with pytest.raises(SystemExit) as ended, early_signals.remembered():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 0
