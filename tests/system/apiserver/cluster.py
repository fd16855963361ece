"""The API server that `up.sh run` has started, through kubectl and Helm."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from tests import ROOT
from tests.support.waiting import block_until
from tests.system.chart.helm import MINIMAL, Manifest

VERSION = os.environ.get("KUBERNETES_VERSION", "1.0.0")
INJECTS = int(VERSION.split(".")[1]) >= 36
"""Whether this version has the policies of `mode: inject`."""
RELEASE = "credential-sidecar"
LABEL = "credential-sidecar/inject"
MINUTES = 10 * 60
"""Seconds a command may take: only one that never ends takes so long."""


class CommandFailed(Exception):
    """What the command printed."""


def run(*command: str | Path, given: str = "", at: Path = ROOT) -> str:
    """Run a command with that input and return its output. Raises CommandFailed."""
    done = subprocess.run(
        command, check=False, cwd=at, input=given, capture_output=True, text=True, timeout=MINUTES
    )
    if done.returncode:
        raise CommandFailed(done.stderr + done.stdout)
    return done.stdout


@dataclass(frozen=True)
class Namespace:
    """A namespace of its own, for one test."""

    name: str

    def __enter__(self) -> Self:
        run("kubectl", "create", "namespace", self.name)
        run("kubectl", "label", "namespace", self.name, "pod-security.kubernetes.io/enforce=restricted")
        block_until(lambda: "default" in self.kubectl("get", "serviceaccounts", "-o", "name"))
        return self

    def __exit__(self, *_: object) -> None:
        run("kubectl", "delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *words: str, given: str = "") -> str:
        return run("kubectl", "-n", self.name, *words, given=given)

    def apply(self, manifests: str | list[Manifest], *flags: str) -> list[Manifest]:
        """Apply manifests, with strict validation; return what the API server made of them."""
        text = manifests if isinstance(manifests, str) else yaml.safe_dump_all(manifests)
        words = ("apply", "--validate=strict", *flags, "-o", "json", "-f", "-")
        found: Manifest = json.loads(self.kubectl(*words, given=text))
        items: list[Manifest] = found["items"] if found["kind"] == "List" else [found]
        return items

    def created(self, pod: Manifest) -> Manifest:
        """The pod as the API server would create it now. It is not created."""
        words = ("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
        found: Manifest = json.loads(self.kubectl(*words, given=json.dumps(pod)))
        return found

    def get(self, kind: str, *words: str) -> list[Manifest]:
        found: list[Manifest] = json.loads(self.kubectl("get", kind, "-o", "json", *words))["items"]
        return found

    def pods(self, **labels: str) -> list[Manifest]:
        """The pods with these labels that are not being deleted."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        return [
            each for each in self.get("pods", "-l", selector) if "deletionTimestamp" not in each["metadata"]
        ]

    def helm(self, action: str, *sets: str, setup: Path = MINIMAL) -> str:
        """Install or upgrade the chart with these values; return the notes."""
        given = [word for each in sets for word in ("--set", each)]
        return run("helm", action, RELEASE, ROOT / "helm", "-n", self.name, "--values", setup, *given)

    def uninstall(self) -> None:
        run("helm", "uninstall", RELEASE, "-n", self.name)


def wait_as_noted(notes: str) -> None:
    """Run the loop that `helm install` prints."""
    loop = notes[notes.index("  n=0\n") : notes.index("  done\n") + len("  done\n")]
    run("sh", "-eu", given=loop)
