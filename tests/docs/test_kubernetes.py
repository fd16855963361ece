"""The tutorial about Kubernetes: each command is run, or what it would send to a cluster is checked."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.support.pages import PAGES, blocks
from tests.system.chart.generate import CHART
from tests.system.chart.helm import KUBERNETES, Manifest, helm, of_kind, sidecar_of
from tests.system.chart.kubernetes import VERSIONS, faults
from tests.system.chart.policy import admitted, selects


def commands(script: str) -> list[list[str]]:
    """Return the words of each command, a pipe of several lines as one."""
    lines = script.replace("\\\n", " ").replace("|\n", "| ").splitlines()
    return [words for line in lines if (words := shlex.split(line))]


SCRIPT = "\n".join(blocks(ROOT / "docs/tutorial/kubernetes.md", "sh"))
COMMANDS = commands(SCRIPT)
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "orders", "namespace": "shop"},
    "spec": {
        "selector": {"matchLabels": {"app": "orders"}},
        "template": {
            "metadata": {"labels": {"app": "orders"}},
            "spec": {"containers": [{"name": "orders", "image": "example/orders:1"}]},
        },
    },
}
"""What was there already."""


def installed(directory: Path, *, injects: bool = False) -> list[Manifest]:
    """What `helm install` would put into the cluster; with `injects` after the line that the page adds for that."""
    [line] = [each[1] for each in COMMANDS if each[0] == "echo" and each[2:] == [">>", "values.yaml"]]
    values = SCRIPT.split("<<'EOF'\n")[1].split("EOF\n")[0]
    (directory / "values.yaml").write_text(values + (line if injects else ""))
    command, *others = [each for each in COMMANDS if each[:2] == ["helm", "install"]]
    assert others == [command]
    given = [str(CHART) if each == "./helm" else each for each in command[2:]]
    given[given.index("values.yaml")] = str(directory / "values.yaml")
    text = helm("template", *given, "--kube-version", KUBERNETES)
    return [each for each in yaml.safe_load_all(text) if each]


def kubectl(*words: str) -> list[str]:
    """The rest of the command that begins with these words."""
    [found] = [each for each in COMMANDS if each[: len(words) + 3] == ["kubectl", "-n", "shop", *words]]
    return found[len(words) + 3 :]


def test_the_api_server_adds_it(tmp_path: Path) -> None:
    """With the label of the patch, the pods of the Deployment get a valid sidecar with the Secret that was made."""
    manifests = installed(tmp_path, injects=True)
    name, flag, patch = kubectl("patch", "deployment")
    assert (name, flag) == ("orders", "-p")
    labels = json.loads(patch)["spec"]["template"]["metadata"]["labels"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "orders-1", "namespace": "shop", "labels": {"app": "orders", **labels}},
        "spec": {"containers": [{"name": "orders", "image": "example/orders:1"}]},
    }
    assert selects(of_kind("MutatingAdmissionPolicyBinding", manifests), pod)
    probe = kubectl("run", "probe")
    assert dict([probe[probe.index("-l") + 1].split("=")]) == labels
    after = admitted(of_kind("MutatingAdmissionPolicy", manifests), pod)
    assert faults(after, VERSIONS[-1]) == []
    check(after["spec"], manifests)


def test_the_manifest_has_it(tmp_path: Path) -> None:
    """The command's output is the Deployment with the same container, valid on the oldest cluster."""
    manifests = installed(tmp_path)
    pipe = kubectl("get", "deployment")
    command = pipe[pipe.index("sidecar") + 1 : pipe.index("|", pipe.index("sidecar"))]
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *command],
        input=yaml.safe_dump(DEPLOYMENT),
        check=True,
        capture_output=True,
        text=True,
    )
    after = yaml.safe_load(done.stdout)
    assert faults(after, VERSIONS[0]) == []
    check(after["spec"]["template"]["spec"], manifests)
    native = of_kind("MutatingAdmissionPolicy", installed(tmp_path, injects=True))
    injected = admitted(native, {"spec": {"containers": []}, "metadata": {}})["spec"]
    assert sidecar_of(after["spec"]["template"]["spec"]) == sidecar_of(injected)


def check(spec: Manifest, manifests: list[Manifest]) -> None:
    """The image that was pushed, the ConfigMap that was installed, the Secret that was made, where the file is read."""
    assert spec["containers"][0]["name"] == "orders"
    sidecar = sidecar_of(spec)
    [image] = [each[2] for each in COMMANDS if each[:2] == ["docker", "push"]]
    assert sidecar["image"] == image
    config = of_kind("ConfigMap", manifests)
    volumes = {each["name"]: each for each in spec["volumes"]}
    assert volumes["sidecar-config"]["configMap"]["name"] == config["metadata"]["name"]
    kind, secret, literal = kubectl("create", "secret")
    assert kind == "generic"
    [mount] = [each for each in sidecar["volumeMounts"] if each["name"] == "sidecar-secret-0"]
    assert volumes["sidecar-secret-0"]["secret"]["secretName"] == secret
    key = literal.removeprefix("--from-literal=").partition("=")[0]
    assert f"file: {mount['mountPath']}/{key}" in config["data"]["config.yaml"]


def test_the_application_asks_where_the_sidecar_listens() -> None:
    """The variable of the fourth step is a base URL of the route, and the log is that of the container."""
    (variable,) = kubectl("set", "env")[1:]
    route = yaml.safe_load(SCRIPT.split("<<'EOF'\n")[1].split("EOF\n")[0])["config"]["routes"][0]
    assert variable.partition("=")[2] == f"http://127.0.0.1:9180{route['match']['prefix']}"
    assert kubectl("logs") == ["-f", "deployment/orders", "-c", "sidecar"]


def test_nothing_else_is_commanded() -> None:
    """Each command of the page is one of those above, or is harmless."""
    known = {
        "helm install",
        "echo mode: inject",
        "docker push",
        "make image",
        "kubectl -n",
        "cat >",
        "n=0",
        "until [",
        "sleep 0.2",
        "done",
    }
    outside = re.sub(r"^cat .*?^EOF\n", "", SCRIPT, flags=re.DOTALL | re.MULTILINE)
    assert {" ".join(words[:2]) for words in commands(outside)} <= known


@pytest.mark.parametrize("page", PAGES)
def test_c1_no_page_sets_values_beside_the_file(page: str) -> None:
    """`helm upgrade -f` would drop them without a warning: `mode: inject`, and with it the policies."""
    for command in commands("\n".join(block for block in blocks(ROOT / page, "sh") if "helm " in block)):
        if command[0] == "helm" and "-f" in command:
            assert [word for word in command if word.startswith("--set")] == []


def test_the_readme_has_the_same_commands() -> None:
    """In short: those for every supported version. Its file reads the secret from a variable, which inject sets."""
    [short] = [block for block in blocks(ROOT / "README.md", "sh") if "kubectl" in block]
    [file] = [yaml.safe_load(block) for block in blocks(ROOT / "README.md", "yaml")]
    variable = file["credentials"]["ledger-client"]["client_secret"]["env"]
    flags = ["--secret-env", f"{variable}=ledger:client-secret"]
    found = commands(short)
    [inject] = [words for words in found if "inject" in words]
    place = inject.index(flags[0])
    assert inject[place : place + 2] == flags
    inject[place : place + 2] = ["--secret-file", "ledger"]
    assert [words for words in found if words not in COMMANDS] == []


@pytest.mark.parametrize("verb", ["create", "patch", "get", "set", "rollout", "logs", "exec"])
def test_every_kubectl_is_about_the_same_deployment(verb: str) -> None:
    """One name, one namespace."""
    [line] = [each for each in COMMANDS if each[:4] == ["kubectl", "-n", "shop", verb]]
    assert "orders" in " ".join(line) or verb == "create"
