"""The container that `sidecar inject` adds: what fills in its blanks."""

import pytest

from sidecar.kubernetes.container import Blanks, definition, fill

API_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes' ServiceAccount admission mounts the token, unless a mount has exactly this path."""


@pytest.mark.parametrize(
    "blanks",
    [
        Blanks("c"),
        Blanks("c", native=False),
        Blanks("c", secret_files=(("a", "/a"), ("b", "/var/run/secrets/kubernetes.io"))),
        Blanks("c", listen="unix:/run/sidecar/http.sock", resources={"limits": {"memory": "1Gi"}}),
        Blanks("c", security_context={"runAsUser": None, "runAsGroup": None}),
    ],
)
def test_c12_the_pods_api_token_is_kept_out(blanks: Blanks) -> None:
    """By a mount of the configuration in its place, which costs no further volume."""
    sidecar = fill(blanks)
    [mount] = [each for each in sidecar.container["volumeMounts"] if each["mountPath"] == API_TOKEN]
    assert mount == {"name": "sidecar-config", "mountPath": API_TOKEN, "readOnly": True}
    assert len(sidecar.volumes) == 1 + len(blanks.secret_files)


@pytest.mark.parametrize(
    "path", [API_TOKEN, f"{API_TOKEN}/", "/var/run/secrets/./kubernetes.io/serviceaccount"]
)
def test_c12_a_secret_may_be_mounted_in_its_place(path: str) -> None:
    """It is there because it was asked for; two mounts at one place would be refused."""
    mounts = fill(Blanks("c", secret_files=(("mine", path),))).container["volumeMounts"]
    assert [(each["name"], each["mountPath"]) for each in mounts] == [
        ("sidecar-config", "/etc/sidecar"),
        ("sidecar-secret-0", path),
    ]
    assert len(definition()["container"]["volumeMounts"]) == 2
