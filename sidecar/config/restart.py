"""Changes that require a restart: the keys that the schema marks so."""

from operator import attrgetter

from sidecar.config.decode import noted
from sidecar.config.schema import File
from sidecar.config.settings import Config
from sidecar.core.errors import Fault

RESTART_KEYS = noted(File, "restart")
"""Paths of keys and sections, in the file and in Config alike."""


def only_by_restart(old: Config, new: Config) -> tuple[Fault, ...]:
    """Return the values that a reload cannot change, by their path in the configuration."""
    return tuple(
        Fault("reload", path, "changing this takes a restart")
        for path, value in ((path, attrgetter(path)) for path in RESTART_KEYS)
        if value(old) != value(new)
    )
