"""What the chart renders, for every setup in helm/ci, native and classic, in every mode."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.chart.generate import CHART
from tests.system.chart.helm import (
    KUBERNETES,
    MODES,
    SETUPS,
    Manifest,
    helm,
    pod_specs,
    render,
    sidecar_of,
    with_sidecar,
)
from tests.system.chart.kubernetes import API_TOKEN, VERSIONS, faults, unrestricted, with_api_token

FORMS = ("native=true", "native=false")


def name(setup: Path) -> str:
    return setup.stem.removesuffix("-values")


def ports(part: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every value in a manifest that opens, offers or names a port."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in {"port", "containerPort", "hostPort", "targetPort", "endPort", "nodePort"}:
                yield f"{path}.{key}", value
            yield from ports(value, f"{path}.{key}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from ports(value, f"{path}[{number}]")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("setup", SETUPS, ids=name)
def test_every_setup_is_valid(setup: Path, mode: str, form: str) -> None:
    """Helm has nothing against it, nor has a strict API server of the oldest, a middle and the newest version.

    And nothing names the port at which tokens can be had: no container, Service, monitor or policy.
    """
    sets = ("--set", f"mode={mode},{form}")
    helm("lint", "--strict", str(CHART), "--kube-version", KUBERNETES, "--values", str(setup), *sets)
    manifests = render(setup, f"mode={mode}", form)
    found = {
        (version, each["kind"]): wrong
        for version in VERSIONS
        for each in manifests
        if (wrong := faults(each, version))
    }
    assert found == {}
    assert manifests
    assert [path for each in manifests for path, port in ports(each) if str(port) == "9180"] == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("setup", SETUPS, ids=name)
def test_pods_satisfy_the_restricted_profile(setup: Path, form: str) -> None:
    """A namespace that enforces Pod Security's strictest profile takes them; the sidecar cannot write either."""
    manifests = render(setup, "mode=app", form)
    assert [fault for spec in pod_specs(manifests) for fault in unrestricted(spec)] == []
    own = sidecar_of(with_sidecar(manifests))["securityContext"]
    assert (own["runAsUser"], own["readOnlyRootFilesystem"]) == (65532, True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("setup", SETUPS, ids=name)
def test_probes_ask_the_admin_port(setup: Path, form: str) -> None:
    """Startup and liveness always, readiness where it was asked for; the port is where the sidecar listens."""
    container = sidecar_of(with_sidecar(render(setup, "mode=app", form)))
    probes = {name: probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/startupz",
        "livenessProbe": "/healthz",
        **({"readinessProbe": "/readyz"} if setup.stem == "monitoring-values" else {}),
    }
    assert {probe["port"] for probe in probes.values()} == {"sidecar-admin"}
    [port] = container["ports"]
    assert port["name"] == "sidecar-admin"
    [listen] = [each["value"] for each in container["env"] if each["name"] == "SIDECAR_ADMIN_LISTEN"]
    assert listen.endswith(f":{port['containerPort']}")


def names(containers: list[Manifest]) -> list[str]:
    return [each["name"] for each in containers]


def test_a_native_sidecar_comes_before_everything() -> None:
    """Other init containers can use it, and it stops last; a classic one comes last and goes on for a while."""
    setup = CHART / "ci" / "complete-app-values.yaml"
    [native], [classic] = (list(pod_specs(render(setup, "mode=app", form))) for form in FORMS)
    assert names(native["initContainers"]) == ["sidecar", "migrate"]
    assert names(native["containers"]) == ["orders"]
    assert sidecar_of(native)["restartPolicy"] == "Always"
    assert names(classic["initContainers"]) == ["migrate"]
    assert names(classic["containers"]) == ["orders", "sidecar"]
    assert "restartPolicy" not in sidecar_of(classic)
    assert {"name": "SIDECAR_DRAIN_MIN_DELAY", "value": "5s"} in sidecar_of(classic)["env"]
    assert "SIDECAR_DRAIN_MIN_DELAY" not in names(sidecar_of(native)["env"])


def test_a_configured_delay_goes_before_the_classic_ones_own() -> None:
    """Each variable is there once."""
    [spec] = pod_specs(render(CHART / "ci" / "environment-values.yaml", "mode=app", "native=false"))
    env = sidecar_of(spec)["env"]
    assert {"name": "SIDECAR_DRAIN_MIN_DELAY", "value": "12s"} in env
    assert len(set(names(env))) == len(env)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("setup", SETUPS, ids=name)
def test_c12_the_sidecar_gets_no_api_token(setup: Path, form: str) -> None:
    """Even where the application's container does."""
    spec = with_sidecar(render(setup, "mode=app", form, "app.podSpec.automountServiceAccountToken=true"))
    assert not with_api_token(sidecar_of(spec))
    [app] = [each for each in spec["containers"] if each["name"] != "sidecar"]
    assert with_api_token(app)


@pytest.mark.parametrize("path", [API_TOKEN, f"{API_TOKEN}/"])
@pytest.mark.parametrize("given", ["volumeMounts", "secrets.files"])
def test_c12_a_mount_in_the_tokens_place_replaces_ours(given: str, path: str) -> None:
    """So a projected token can be mounted there for the sidecar to use."""
    sets = {
        "volumeMounts": (
            f"volumeMounts[0].name=api,volumeMounts[0].mountPath={path},volumes[0].name=api",
            "volumes[0].projected.sources[0].serviceAccountToken.path=token",
        ),
        "secrets.files": (f"secrets.files[0].secret=api,secrets.files[0].mountPath={path}",),
    }[given]
    mounts = sidecar_of(with_sidecar(render(CHART / "ci" / "environment-values.yaml", "mode=app", *sets)))
    assert [each["mountPath"] for each in mounts["volumeMounts"]] == ["/etc/sidecar", path]
