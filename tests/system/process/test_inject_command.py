"""`sidecar inject` as a command; and that it, the chart and the wheel have one and the same container."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.support.container import tree as tree  # noqa: PLC0414
from tests.support.environment import NO_BYTE_CODE, bare
from tests.system.chart.helm import MINIMAL, Manifest, pod_specs, render, sidecar_of

MANIFEST = ROOT / "tests/unit/kubernetes/manifests/crlf.yaml"


def sidecar(
    *arguments: str, program: tuple[str, ...] = (sys.executable, "-m", "sidecar"), data: bytes = b""
) -> bytes:
    """What the command prints, where it does what it should."""
    command = [*program, *arguments]
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=bare(NO_BYTE_CODE), input=data, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def refused(*arguments: str, data: bytes = b"") -> tuple[int, str]:
    """The exit code, and the last line of what the command complains of; it prints nothing else."""
    command = [sys.executable, "-m", "sidecar", "inject", *arguments]
    done = subprocess.run(command, check=False, cwd=ROOT, input=data, capture_output=True)
    assert done.stdout == b""
    return done.returncode, done.stderr.decode().splitlines()[-1]


def test_a_file_or_standard_input_goes_in_and_comes_back_to_the_byte() -> None:
    """Line ends, too, are the file's own on every system."""
    out = sidecar("inject", "-f", str(MANIFEST), "--config-map", "c")
    assert b"\r\n        - name: sidecar\r\n" in out
    assert sidecar("inject", "-f", "-", "--config-map", "c", data=out) == out
    assert sidecar("inject", "--file", "-", "--remove", data=out) == MANIFEST.read_bytes()


def test_s4_a_warning_goes_to_standard_error_and_the_manifest_to_the_other() -> None:
    """So a pipe goes on; `--remove` has nothing to warn of."""
    data = b"kind: Pod\nspec:\n  shareProcessNamespace: true\n  containers:\n  - name: a\n"
    for flags, said in ((["--config-map", "c"], True), (["--remove"], False)):
        command = [sys.executable, "-m", "sidecar", "inject", "-f", "-", *flags]
        done = subprocess.run(
            command, check=False, cwd=ROOT, env=NO_BYTE_CODE, input=data, capture_output=True
        )
        assert done.returncode == 0
        assert (b"name: sidecar" in done.stdout) is said
        assert done.stderr.startswith(b"sidecar: warning: standard input: document 1 (Pod)") is said
        assert (b"CAP_SYS_PTRACE" in done.stderr) is said


POD = b"kind: Pod\nspec:\n  containers:\n  - name: app\n    image: example/app:1\n"
BAD: list[tuple[list[str], bytes, int, str]] = [
    (["--config-map", "c"], b"a: [", 1, "sidecar: standard input: line 1: not YAML: "),
    (
        ["--remove"],
        b"kind: Service",
        1,
        "sidecar: standard input: cannot find a pod in the manifest: it contains none of Pod",
    ),
    (["--remove"], b"\xff", 2, "-: not UTF-8 text"),
    (["--remove", "-f", "/nonexistent"], b"", 2, "/nonexistent: No such file or directory"),
    ([], b"", 2, "name the sidecar's configuration: --config-map NAME"),
    (["--config-map", "A_B"], b"", 2, "argument --config-map: write the name of a ConfigMap"),
    (["--config-map", "c", "--secret-env", "A=b"], b"", 2, "argument --secret-env: write NAME=SECRET:KEY"),
    (
        ["--config-map", "c", "--secret-file", "a=b"],
        b"",
        2,
        "argument --secret-file: write SECRET or SECRET=/PATH",
    ),
    *(
        (["--config-map", "c", *flags], POD, 2, said)
        for flags, said in (
            (["--secret-env", "A=b:c", "--secret-env", "A=b:d"], "the variable A is set twice: give"),
            (["--secret-env", "SIDECAR_ADMIN_LISTEN=b:c"], "the variable SIDECAR_ADMIN_LISTEN is set twice"),
            (
                ["--listen", "127.0.0.1:1", "--secret-env", "SIDECAR_LISTEN=b:c"],
                "the variable SIDECAR_LISTEN is set twice",
            ),
            (["--secret-file", "a", "--secret-file", "a"], "two volumes are mounted at /var/run/secrets/a"),
            (["--secret-file", "a=/x", "--secret-file", "b=/x/"], "two volumes are mounted at /x: give each"),
            (["--secret-file", "a=/etc/sidecar"], "two volumes are mounted at /etc/sidecar"),
            (["--image", "bad image"], "argument --image: write the name of an image"),
            (["--image", ""], "argument --image: write the name of an image"),
            (["--image", "a:b:c"], "argument --image: write the name of an image"),
            (["--image", "Upper"], "argument --image: write the name of an image"),
            (["--image", "a@sha256:1"], "argument --image: write the name of an image"),
            (["--pull-policy", "Sometimes"], "argument --pull-policy: invalid choice"),
            (["--limits", "memory=64Mb"], "argument --limits: write NAME=QUANTITY"),
            (["--limits", "cpu=1,cpu=2"], "argument --limits: write NAME=QUANTITY"),
            (["--requests", "cpu"], "argument --requests: write NAME=QUANTITY"),
            (
                ["--requests", "memory=1Gi", "--limits", "memory=512Mi"],
                "memory: the request 1Gi exceeds the limit 512Mi; raise the limit",
            ),
            (["--limits", "cpus=1"], "cpus: containers have no such resource; write cpu, memory"),
            (
                ["--security-context", '{"runAsUsr": 1}'],
                "containers have no field runAsUsr; correct its name",
            ),
            (["--user", "0"], "argument --user: write UID, UID:GID or `any`"),
            (["--user", "root"], "argument --user: write UID, UID:GID or `any`"),
            (["--security-context", "[]"], "argument --security-context: write a JSON object"),
            (["--security-context", "{"], "argument --security-context: write a JSON object"),
        )
    ),
    (["--config-map", "c", "--listen", "9180"], b"", 2, "argument --listen: write host:port"),
    (["--config-map", "c", "--listen", "0.0.0.0:80"], b"", 2, "argument --listen: not a loopback address"),
    (
        ["--config-map", "c", "--admin-listen", "127.0.0.1:1"],
        b"kind: Pod",
        2,
        "the kubelet's probes do not reach",
    ),
]


@pytest.mark.parametrize(("arguments", "data", "code", "said"), BAD)
def test_c11_what_is_wrong_is_told(arguments: list[str], data: bytes, code: int, said: str) -> None:
    """2 for wrong usage, 1 for a manifest that cannot be changed; nothing is printed that could be applied."""
    exit_code, line = refused("-f", "-", *arguments, data=data)
    assert exit_code == code
    assert said in line


SAME: list[tuple[list[str], list[str]]] = [
    ([], []),
    (["native=false"], ["--classic"]),
    (["native=false", "config.drain_min_delay=5s"], ["--classic"]),
    (["image.repository=r/s", "image.tag=seven"], ["--image", "r/s:seven"]),
    (["fullnameOverride=mine"], ["--config-map", "mine"]),
    (["config.admin.listen=0.0.0.0:9999"], ["--admin-listen", "0.0.0.0:9999"]),
    (
        ["secrets.files[0].secret=a", "secrets.files[1].secret=b", "secrets.files[1].mountPath=/b"],
        ["--secret-file", "a", "--secret-file", "b=/b"],
    ),
    (
        [
            "secrets.files[0].secret=a",
            "secrets.files[0].mountPath=/var/run/secrets/kubernetes.io/serviceaccount",
        ],
        ["--secret-file", "a=/var/run/secrets/kubernetes.io/serviceaccount"],
    ),
    (
        ["secrets.env[0].name=ID", "secrets.env[0].secret=s", "secrets.env[0].key=id", "native=false"],
        ["--secret-env", "ID=s:id", "--classic"],
    ),
    (["image.pullPolicy=Always"], ["--pull-policy", "Always"]),
    (["securityContext.runAsUser=null", "securityContext.runAsGroup=null"], ["--user", "any"]),
    (["securityContext.runAsUser=7", "securityContext.runAsGroup=8"], ["--user", "7:8"]),
    (["securityContext.procMount=Default"], ["--security-context", '{"procMount": "Default"}']),
    (["securityContext.runAsNonRoot=false"], ["--security-context", '{"runAsNonRoot": false}']),
    (
        ["securityContext.capabilities.add[0]=CHOWN"],
        ["--security-context", '{"capabilities": {"add": ["CHOWN"]}}'],
    ),
    (
        ["resources.requests.cpu=1m", "resources.requests.memory=1Mi", "resources.limits.memory=2Gi"],
        ["--requests", "cpu=1m,memory=1Mi", "--limits", "memory=2Gi"],
    ),
    (["resources.limits.memory=2Gi"], ["--limits", "memory=2Gi"]),
    (["env[0].name=SIDECAR_LISTEN", "env[0].value=[::1]:80"], ["--listen", "[::1]:80"]),
]


@pytest.mark.parametrize(("sets", "flags"), SAME, ids=[" ".join(flags) or "default" for _, flags in SAME])
def test_k5_c11_the_chart_and_the_command_give_the_same_container(sets: list[str], flags: list[str]) -> None:
    """Real Helm's container and volumes are those of `sidecar inject` with the flags that say the same."""
    files = [] if any(each.startswith("secrets.files") for each in sets) else ["secrets.files=null"]
    [chart] = pod_specs(render(MINIMAL, "mode=app", *files, *sets))
    config_map = [] if "--config-map" in flags else ["--config-map", "r-credential-sidecar"]
    ours: Manifest = yaml.safe_load(sidecar("inject", "-f", "-", *config_map, *flags, data=POD))["spec"]
    assert sidecar_of(ours) == sidecar_of(chart)
    assert ours["volumes"] == chart["volumes"]
    assert [each["name"] for each in ours["containers"]] == [each["name"] for each in chart["containers"]]
    assert ours.get("initContainers", []) == chart.get("initContainers", [])


def test_the_wheel_brings_the_definition(tree: Path) -> None:
    """What is installed does as the source does."""
    arguments = ("inject", "-f", str(MANIFEST), "--config-map", "c")
    assert sidecar(*arguments, program=(str(tree / "bin/sidecar"),)) == sidecar(*arguments)
