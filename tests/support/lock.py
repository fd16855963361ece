"""The locks that `.docker/build.sh` installs from: what they must pin, and what is wrong with one."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from tests import ROOT

IMAGE = ROOT / ".docker/requirements.txt"
TOOLS = ROOT / ".build/requirements.txt"
GLIBC = 36
"""The minor version of glibc in the image's base, Debian 12."""
_OLD_NAMES = ("manylinux1", "manylinux2010", "manylinux2014")

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;*]+)(?: ; (?P<marker>.+?))?(?P<hashes>(?: --hash=\S+)*)"
)
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_ADDRESS = re.compile(r"://|(?<![\w.-])/\w|--(?:\w+-)*(?:index|find-links|trusted-host)|\bfile:|@ ")


@dataclass(frozen=True, slots=True)
class Pin:
    """One release in a lock."""

    name: str
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]

    def applies(self, environment: Mapping[str, str]) -> bool:
        """Return whether this environment gets it."""
        return self.marker is None or self.marker.evaluate(dict(environment))


def project() -> Mapping[str, Any]:
    """Return `pyproject.toml`."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def needed() -> list[str]:
    """Return what the sidecar requires to run."""
    return [*project()["project"]["dependencies"]]


def tools() -> list[str]:
    """Return what builds the compiled wheel: the backend, the compiler, and libraries whose types it reads."""
    document = project()
    hook = document["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    libraries = [each for each in needed() if Requirement(each).name in hook["libraries"]]
    return [*document["build-system"]["requires"], *hook["compiler"], *libraries]


LOCKS = {IMAGE: needed, TOOLS: tools}
"""Each lock, and what it must satisfy."""


def lines(text: str) -> Iterator[str]:
    """Yield a lock's requirements, each on one line, without comments."""
    for line in re.sub(r" *\\\n *", " ", re.sub(r"(?m)^\s*#.*\n?", "", text)).splitlines():
        if line.strip():
            yield line.strip()


def pins(text: str) -> list[Pin]:
    """Return what a lock pins. Skips lines that are no pins."""
    found = [_PIN.fullmatch(line) for line in lines(text)]
    return [
        Pin(
            canonicalize_name(each["name"]),
            Version(each["version"]),
            Marker(each["marker"]) if each["marker"] else None,
            tuple(each["hashes"].replace("--hash=", "").split()),
        )
        for each in found
        if each
    ]


def faults(text: str, requirements: Sequence[str]) -> list[str]:
    """Return what is wrong with a lock of these requirements, without a request to any index."""
    known: dict[str, list[Pin]] = {}
    for pin in pins(text):
        known.setdefault(pin.name, []).append(pin)
    return [
        *(f"address: {line}" for line in text.splitlines() if _ADDRESS.search(line)),
        *(f"no pin: {line}" for line in lines(text) if not _PIN.fullmatch(line)),
        *(
            f"no sha256: {name}"
            for name, held in known.items()
            for pin in held
            if not pin.hashes or not all(_HASH.fullmatch(each) for each in pin.hashes)
        ),
        *_unsatisfied(known, [Requirement(each) for each in requirements]),
    ]


def _unsatisfied(known: Mapping[str, Sequence[Pin]], requirements: Iterable[Requirement]) -> Iterator[str]:
    for each in requirements:
        held = known.get(canonicalize_name(each.name), ())
        if not held:
            yield f"missing: {each.name}"
        for pin in held:
            if not each.specifier.contains(pin.version, prereleases=True):
                yield f"refused: {each.name} {pin.version}"


def shared_differences(one: str, other: str) -> list[str]:
    """Return the packages that two locks have in different releases, or with different hashes."""
    first, second = (
        {pin.name: (pin.version, set(pin.hashes)) for pin in pins(text)} for text in (one, other)
    )
    return sorted(name for name in first.keys() & second.keys() if first[name] != second[name])


@dataclass(frozen=True, slots=True)
class Target:
    """Where an image may run: its base is Debian or Alpine, with one of the Pythons that wheels are built for."""

    python: str
    machine: str
    libc: str

    def __str__(self) -> str:
        """Return it as tests name it."""
        return f"{self.python}-{self.machine}-{self.libc}"

    def tags(self) -> frozenset[Tag]:
        """Return the tags of wheels that run there."""
        major, minor = map(int, self.python.split("."))
        names = (
            [*(f"manylinux_2_{number}" for number in range(5, GLIBC + 1)), *_OLD_NAMES]
            if self.libc == "glibc"
            else [f"musllinux_1_{number}" for number in range(3)]
        )
        platforms = [f"{name}_{self.machine}" for name in names]
        interpreter = f"cp{major}{minor}"
        return frozenset(
            [
                *cpython_tags((major, minor), [interpreter], platforms),
                *compatible_tags((major, minor), interpreter, platforms),
            ]
        )

    def environments(self) -> list[Mapping[str, str]]:
        """Return what markers see there, with the first and a late release of the Python."""
        return [
            {
                "implementation_name": "cpython",
                "os_name": "posix",
                "platform_machine": self.machine,
                "platform_python_implementation": "CPython",
                "platform_system": "Linux",
                "python_full_version": f"{self.python}.{release}",
                "python_version": self.python,
                "sys_platform": "linux",
            }
            for release in (0, 99)
        ]


@dataclass(frozen=True, slots=True)
class Release:
    """A release that a lock leads to, and the wheels that an index has of it, by hash."""

    name: str
    version: Version
    marker: Marker | None
    wheels: Mapping[str, str]


def targets() -> list[Target]:
    """Return every platform of the image."""
    pythons = [re.sub(r"cp3(\d+)-\*", r"3.\1", each) for each in project()["tool"]["cibuildwheel"]["build"]]
    return [Target(*each) for each in product(pythons, ("x86_64", "aarch64"), ("glibc", "musl"))]


def releases(pylock: str) -> list[Release]:
    """Return what a resolution of a lock gave, as uv writes it in the form of PEP 751."""
    return [
        Release(
            each["name"],
            Version(each["version"]),
            Marker(each["marker"]) if "marker" in each else None,
            {
                f"sha256:{wheel['hashes']['sha256']}": wheel["url"].rpartition("/")[2]
                for wheel in each.get("wheels", ())
            },
        )
        for each in tomllib.loads(pylock)["packages"]
    ]


def unserved(lock: str, found: Iterable[Release], target: Target) -> list[str]:
    """Return the packages that the target does not get from a lock: not pinned, or without a wheel there."""
    held, tags = pins(lock), target.tags()
    lacks = set()
    for environment, release in product(target.environments(), found):
        if release.marker is not None and not release.marker.evaluate(dict(environment)):
            continue
        hashes = {
            digest
            for pin in held
            if (pin.name, pin.version) == (release.name, release.version) and pin.applies(environment)
            for digest in pin.hashes
        }
        if not hashes:
            lacks.add(f"missing: {release.name}")
        elif not any(
            digest in hashes and tags & parse_wheel_filename(unquote(name))[3]
            for digest, name in release.wheels.items()
        ):
            lacks.add(f"no wheel: {release.name}")
    return sorted(lacks)
