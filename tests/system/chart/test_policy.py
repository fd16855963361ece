"""The admission policy of `mode: inject`, evaluated: which pods get the sidecar, where in them, and never twice."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from sidecar.core.errors import ManifestRefused
from sidecar.kubernetes.container import Blanks
from sidecar.kubernetes.inject import inject
from tests.system.chart.generate import CHART
from tests.system.chart.helm import MINIMAL, SETUPS, Manifest, of_kind, render, sidecar_of, with_sidecar
from tests.system.chart.kubernetes import VERSIONS, faults, unrestricted
from tests.system.chart.policy import admitted, refusals, selects

APP = {
    "name": "app",
    "image": "example/app:1",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
TOKEN = {"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
"""As the service account's admission adds to nearly every pod."""


def pod(**spec: object) -> Manifest:
    """A pod that asks for the sidecar of release `r`."""
    labels = {"app": "app", "credential-sidecar/inject": "r-credential-sidecar"}
    metadata = {"name": "app-1", "namespace": "prod", "labels": labels}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [APP], **spec}}
    return deepcopy(whole)


PODS = {
    "bare": pod(),
    "with a token": pod(volumes=[TOKEN]),
    "with init containers": pod(initContainers=[{**APP, "name": "migrate"}], volumes=[TOKEN]),
    "with several containers": pod(containers=[APP, {**APP, "name": "proxy"}], volumes=[TOKEN]),
}


def policy(setup: Path = MINIMAL, *sets: str) -> Manifest:
    return of_kind("MutatingAdmissionPolicy", render(setup, "mode=inject", *sets))


@pytest.mark.parametrize("before", PODS.values(), ids=PODS)
@pytest.mark.parametrize("native", ["true", "false"])
def test_a_pod_gets_the_sidecar_once(before: Manifest, native: str) -> None:
    """A native one first, a classic one last; everything else stays, and a second evaluation changes nothing."""
    rule = policy(MINIMAL, f"native={native}")
    after = admitted(rule, before)
    inits, containers = before["spec"].get("initContainers", []), before["spec"]["containers"]
    sidecar = sidecar_of(after["spec"])
    if native == "true":
        assert after["spec"]["initContainers"] == [sidecar, *inits]
        assert after["spec"]["containers"] == containers
    else:
        assert after["spec"].get("initContainers", []) == inits
        assert after["spec"]["containers"] == [*containers, sidecar]
    assert after["spec"]["volumes"][: len(before["spec"].get("volumes", []))] == before["spec"].get(
        "volumes", []
    )
    assert {key: after[key] for key in after if key != "spec"} == {
        key: before[key] for key in before if key != "spec"
    }
    assert admitted(rule, after) == after


@pytest.mark.parametrize("native", ["true", "false"])
@pytest.mark.parametrize("setup", SETUPS, ids=lambda path: path.stem.removesuffix("-values"))
def test_what_is_injected_is_what_a_deployment_has(setup: Path, native: str) -> None:
    """The same container and volumes in every setup; the pod is valid, and restricted as it was before."""
    after = admitted(policy(setup, f"native={native}"), pod(volumes=[TOKEN]))
    wanted = with_sidecar(render(setup, "mode=app", f"native={native}"))
    assert sidecar_of(after["spec"]) == sidecar_of(wanted)
    ours = [each for each in wanted["volumes"] if each["name"] != "scratch"]
    assert [each for each in after["spec"]["volumes"] if each != TOKEN] == ours
    assert faults(after, VERSIONS[-1]) == []
    assert list(unrestricted(after["spec"])) == []


def test_a_volume_that_is_there_is_not_added_again() -> None:
    """Two of one name would make the pod invalid; one of the values may be the pod's own, as for a socket."""
    mine = {"name": "scrap", "emptyDir": {"medium": "Memory"}}
    rule = policy(MINIMAL, "volumes[0].name=scrap", "volumes[0].emptyDir.medium=Memory")
    after = admitted(rule, pod(volumes=[mine]))
    assert [each for each in after["spec"]["volumes"] if each["name"] == "scrap"] == [mine]
    assert sidecar_of(after["spec"])


def test_a_pod_on_the_nodes_network_gets_no_sidecar() -> None:
    """All the node's processes could use its tokens."""
    shared = pod(hostNetwork=True)
    assert admitted(policy(), shared) == shared
    assert sidecar_of(admitted(policy(), pod(hostNetwork=False))["spec"])


def test_s4_a_pod_among_the_nodes_processes_gets_no_sidecar() -> None:
    """Privileged containers of other pods could read its memory."""
    shared = pod(hostPID=True)
    assert admitted(policy(), shared) == shared
    assert sidecar_of(admitted(policy(), pod(hostPID=False))["spec"])


OURS = {"name": "sidecar-config", "configMap": {"name": "mine"}}
HINDERED = [
    (pod(volumes=[OURS]), (), "a volume with one of the names sidecar-config, sidecar-secret-0 exists"),
    (pod(volumes=[{**OURS, "name": "sidecar-secret-0"}]), (), "a volume with one of the names"),
    (
        pod(containers=[{**APP, "name": "sidecar"}]),
        (),
        "a container `sidecar` exists, and is not the sidecar's",
    ),
    (pod(initContainers=[{**APP, "name": "sidecar"}]), (), "a container `sidecar` exists"),
    (pod(containers=[{**APP, "ports": [{"containerPort": 9181}]}]), (), "a port of the sidecar (9181, 9180)"),
    (pod(initContainers=[{**APP, "ports": [{"containerPort": 9180}]}]), (), "a port of the sidecar"),
    (pod(os={"name": "windows"}), (), "the pod is for Windows"),
    (pod(nodeSelector={"kubernetes.io/os": "windows"}), (), "the pod is for Windows"),
    (pod(hostNetwork=True), (), "hostNetwork: every process of the node"),
    (pod(hostPID=True), (), "hostPID: privileged containers"),
    (
        pod(restartPolicy="Never"),
        ("native=false",),
        "restartPolicy: with a classic container the pod would never complete",
    ),
    (
        pod(restartPolicy="OnFailure"),
        ("native=false",),
        "restartPolicy: with a classic container the pod would never complete",
    ),
]


@pytest.mark.parametrize(("hindered", "sets", "said"), HINDERED, ids=[said for *_, said in HINDERED])
def test_c8_c9_a_pod_that_cannot_have_the_sidecar_is_refused(
    hindered: Manifest, sets: tuple[str, ...], said: str
) -> None:
    """In the words of its one reason, by the policy and by `sidecar inject`; neither touches it."""
    assert admitted(policy(MINIMAL, *sets), hindered) == hindered
    [refusal] = refusals(required(*sets), hindered)
    assert said in refusal
    assert refusal.startswith("cannot add the sidecar to a pod with the label credential-sidecar/inject: ")
    blanks = Blanks("c", native=not sets, secret_files=(("ledger", "/var/run/secrets/ledger"),))
    with pytest.raises(ManifestRefused):
        inject(yaml.safe_dump(hindered), blanks)


API = ("config.token_api.listen=127.0.0.1:9182", "config.token_api.tokens[0]=ledger")


@pytest.mark.parametrize(
    ("hindered", "sets", "said"),
    [
        (
            pod(containers=[{**APP, "ports": [{"containerPort": 9182}]}]),
            API,
            "a port of the sidecar (9181, 9180, 9182)",
        ),
        (pod(hostNetwork=True), ("config.listen=unix:/run/x/http.sock", *API), "hostNetwork: every process"),
    ],
)
def test_the_token_apis_port_counts(hindered: Manifest, sets: tuple[str, ...], said: str) -> None:
    """Also where the routes are on a Unix socket."""
    assert admitted(policy(MINIMAL, *sets), hindered) == hindered
    [refusal] = refusals(required(*sets), hindered)
    assert said in refusal


@pytest.mark.parametrize(
    ("free", "sets"),
    [
        (pod(restartPolicy="Never"), ()),
        (pod(restartPolicy="Always"), ("native=false",)),
        (pod(os={"name": "linux"}, nodeSelector={"kubernetes.io/os": "linux", "a": "windows"}), ()),
        (pod(nodeSelector={"a": "b"}), ()),
        (pod(containers=[{**APP, "ports": [{"containerPort": 9182}]}], hostNetwork=False, hostPID=False), ()),
        (pod(hostNetwork=True), ("config.listen=unix:/run/x/http.sock",)),
    ],
)
def test_c8_c9_others_get_it(free: Manifest, sets: tuple[str, ...]) -> None:
    """A pod of a Job too, with a native sidecar; and then nothing refuses them."""
    after = admitted(policy(MINIMAL, *sets), free)
    assert sidecar_of(after["spec"])
    assert refusals(required(*sets), after) == []


@pytest.mark.parametrize(
    ("namespace", "label", "chosen"),
    [
        ("prod", "r-credential-sidecar", True),
        ("prod", "other", False),
        ("prod", None, False),
        ("test", "r-credential-sidecar", False),
    ],
)
def test_only_labelled_pods_of_the_namespace_are_chosen(
    namespace: str, label: str | None, chosen: bool
) -> None:
    """The configuration is in the release's namespace, and only labelled pods get a sidecar."""
    binding = of_kind("MutatingAdmissionPolicyBinding", render(MINIMAL, "mode=inject"))
    asking = pod()
    asking["metadata"]["namespace"] = namespace
    asking["metadata"]["labels"] = {"credential-sidecar/inject": label} if label else {}
    assert selects(binding, asking) is chosen
    assert binding["spec"]["policyName"] == policy()["metadata"]["name"]


@pytest.mark.parametrize("setup", SETUPS, ids=lambda path: path.stem.removesuffix("-values"))
def test_literals_are_of_one_type(setup: Path) -> None:
    """Kubernetes' CEL refuses lists and maps of mixed types, which other CELs take: so each member is `dyn`."""
    for variable in policy(setup)["spec"]["variables"]:
        shape = re.sub(r'"(\\.|[^"\\])*"', "S", variable["expression"])
        assert re.search(r"S:\s(?!dyn\()", shape) is None
        assert re.search(r"[\[,]\s*(?!dyn\(|S: |[\]}\s])", shape) is None


def test_a_setup_with_quotes_survives() -> None:
    """Whatever is in a value arrives as it is."""
    odd = "a\"b'c\\d<e>\té→${x}"
    value = odd.replace("\\", "\\\\").replace(",", "\\,")
    after = admitted(policy(CHART / "ci" / "environment-values.yaml", f"env[0].value={value}"), pod())
    assert {"name": "LOG_LEVEL", "value": odd} in sidecar_of(after["spec"])["env"]


def required(*sets: str) -> Manifest:
    return of_kind("ValidatingAdmissionPolicy", render(MINIMAL, "mode=inject", *sets))


@pytest.mark.parametrize("native", ["true", "false"])
@pytest.mark.parametrize("before", PODS.values(), ids=PODS)
def test_c1_a_labelled_pod_without_the_sidecar_is_refused(before: Manifest, native: str) -> None:
    """Whatever kept the first policy from adding it; a pod that has it passes."""
    rule = required(f"native={native}")
    [refusal] = refusals(rule, before)
    assert "the sidecar was not added to it; try again" in refusal
    assert refusals(rule, admitted(policy(MINIMAL, f"native={native}"), before)) == []


@pytest.mark.parametrize("failure", ["Fail", "Ignore"])
def test_c1_both_policies_are_about_the_same_pods(failure: str) -> None:
    """So no pod is refused that is not to have a sidecar; a refusal does not depend on the failure policy."""
    manifests = render(MINIMAL, "mode=inject", f"inject.failurePolicy={failure}")
    adding, refusing = (
        of_kind(f"{kind}AdmissionPolicyBinding", manifests)["spec"] for kind in ("Mutating", "Validating")
    )
    rule = of_kind("ValidatingAdmissionPolicy", manifests)
    assert refusing["matchResources"] == adding["matchResources"]
    assert (refusing["policyName"], refusing["validationActions"]) == (rule["metadata"]["name"], ["Deny"])
    added = of_kind("MutatingAdmissionPolicy", manifests)["spec"]
    assert rule["spec"]["matchConstraints"] == added["matchConstraints"]
    assert rule["spec"]["failurePolicy"] == failure


@pytest.mark.parametrize(
    "number",
    [
        "0.5",
        "1.5",
        "0.1",
        "0.000001",
        "1234567.25",
        "1000000",
        "3",
        "0",
        "536870912",
        "5000000000",
        "1e20",
        "0.30000000000000004",
    ],
)
def test_c2_numbers_are_the_same_in_every_mode(number: str, tmp_path: Path) -> None:
    """As in a pod of `mode: app`, for every value that can be a number."""
    values = tmp_path / "values.yaml"
    values.write_text(
        f"resources: {{requests: {{cpu: {number}, memory: {number}}}, limits: {{cpu: {number}, memory: {number}}}}}\n"
        f"volumes: [{{name: scrap, emptyDir: {{sizeLimit: {number}}}}}, {{name: mode, secret: {{secretName: x,"
        " defaultMode: 288, items: [{key: a, path: a, mode: 0400}]}}]\n"
    )
    sets = ("config.routes[0].name=a", "config.routes[0].upstream=https://a.test")
    wanted = with_sidecar(render(values, "mode=app", "app.container.image=example/app:1", *sets))
    after = admitted(policy(values, *sets), pod())["spec"]
    for spec in (wanted, after):
        amounts = sidecar_of(spec)["resources"]
        given = [*amounts["requests"].values(), *amounts["limits"].values()]
        volumes = {each["name"]: each for each in spec["volumes"]}
        assert {float(each) for each in [*given, volumes["scrap"]["emptyDir"]["sizeLimit"]]} == {
            float(number)
        }
        assert (volumes["mode"]["secret"]["defaultMode"], volumes["mode"]["secret"]["items"][0]["mode"]) == (
            288,
            256,
        )


def test_k6_names_inside_the_policies_are_those_of_the_release() -> None:
    """Kustomize does not change them, which the chart's page says; these values do."""
    manifests = render(MINIMAL, "mode=inject", "fullnameOverride=mine")
    for kind in ("Mutating", "Validating"):
        binding = of_kind(f"{kind}AdmissionPolicyBinding", manifests)["spec"]
        assert binding["policyName"] == of_kind(f"{kind}AdmissionPolicy", manifests)["metadata"]["name"]
        assert binding["policyName"].startswith("mine.prod")
        labels = binding["matchResources"]["objectSelector"]["matchLabels"]
        assert labels == {"credential-sidecar/inject": "mine"}
    page = (CHART / "README.md").read_text()
    assert {"`namePrefix`", "`namespace`", "`fullnameOverride`"} <= set(re.findall(r"`\w+`", page))
