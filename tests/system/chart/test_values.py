"""Values: what is wrong is refused by name, what follows from them is in step, and what they mean."""

import json
import re
from base64 import b64decode
from copy import deepcopy
from pathlib import Path
from shutil import copytree

import pytest
import yaml

from sidecar import __version__
from sidecar.cli import main
from sidecar.config.restart import RESTART_KEYS
from sidecar.kubernetes.container import SECURITY_FIELDS
from tests.support.quantities import REFUSED, TAKEN
from tests.system.chart import generate, kubernetes_types
from tests.system.chart.generate import CHART
from tests.system.chart.helm import (
    KUBERNETES,
    MINIMAL,
    MODES,
    SETUPS,
    HelmError,
    Manifest,
    helm,
    of_kind,
    pod_specs,
    render,
    rendered,
    sidecar_of,
)
from tests.system.chart.pod import RenderedPod

BAD = [
    # value, what the message names
    (
        "config.routes[0].upstrem=https://x.test",
        "config.routes.0: Additional property upstrem is not allowed",
    ),
    ("config.tokens.ledger.grant=magic", "config.tokens.ledger.grant"),
    ("config.drain_timeout=soon", "config.drain_timeout"),
    ("config.log.level=loud", "config.log.level"),
    ("config.cache.max_entries=0", "config.cache.max_entries"),
    ("config.routes[0].token=other", "config.routes[0].token: there is no config.tokens.other"),
    (
        "config.tokens.ledger.credentials=x",
        "config.tokens.ledger.credentials: there is no config.credentials.x",
    ),
    ("config.admin.listen=127.0.0.1:9181", "config.admin.listen: the kubelet cannot reach 127.0.0.1:9181"),
    (
        "config.admin.listen=unix:/run/admin.sock",
        "config.admin.listen: the kubelet cannot reach unix:/run/admin.sock",
    ),
    ("existingConfigMap=other", "existingConfigMap: the file is in that ConfigMap"),
    ("mode=sidecar", "mode must be one of the following"),
    ("native=maybe", "native: Invalid type"),
    ("image.digest=sha256:1234", "image.digest: Does not match pattern"),
    ("image.pullPolicy=Sometimes", "image.pullPolicy"),
    ("secrets.files[0].mount=/x", "secrets.files.0: Additional property mount is not allowed"),
    ("secrets.env[0].name=X", "secrets.env.0: key is required"),
    ("aws.roleArn=ledger", "aws.roleArn: Does not match pattern"),
    (
        "aws.roleArn=arn:aws:iam::111122223333:role/x,aws.podIdentity=true",
        "aws: give either roleArn or podIdentity",
    ),
    (
        "valkey.enabled=true,config.redis.url=redis://x.test",
        "valkey.enabled: config.redis names another server",
    ),
    ("app.container.image=null", "app.container.image: mode: app requires the image of your application"),
    (
        "app.container.ports[0].containerPort=9180",
        "app.container.ports[0].containerPort: the sidecar listens on 9180",
    ),
    ("app.servicePort=9181", "app.servicePort: the sidecar listens on 9181"),
    (
        "app.servicePort=9182,config.token_api.listen=127.0.0.1:9182,config.token_api.tokens[0]=ledger",
        "app.servicePort: the sidecar listens on 9182",
    ),
    ("app.servicePort=70000", "app.servicePort"),
    ("env[0].name=TIMES,env[0].value=3", "env.0.value: Invalid type. Expected: string"),
    ("volumeMounts[0].name=x", "volumeMounts.0: mountPath is required"),
    ("app.podSpec.hostPID=true", "app.podSpec.hostPID: privileged containers of other pods"),
    ("app.podSpec.hostNetwork=true", "app.podSpec.hostNetwork: every process of the node"),
    ("app.container.name=sidecar", "app.container.name: the sidecar has the name sidecar"),
    ("config.credentials.ledger.client_secret=hunter2", "config.credentials.ledger.client_secret"),
    ("replicas=2", "Additional property replicas is not allowed"),
]


@pytest.mark.parametrize(("bad", "named"), BAD, ids=[bad for bad, _ in BAD])
def test_a_bad_value_is_refused_by_name(bad: str, named: str) -> None:
    """The error of an installation names the wrong value, before anything is in the cluster."""
    with pytest.raises(HelmError) as refused:
        rendered(MINIMAL, "mode=app", bad)
    assert named in str(refused.value)


REFUSED_LATER = [
    ("resources.limit.memory=1Gi", "resources: Additional property limit is not allowed"),
    ("resources.limits.memory=64Mb", "resources.limits.memory: Does not match pattern"),
    ("resources.requests.cpus=1", "resources.requests"),
    ("resources.requests.cpu=-1", "resources.requests.cpu"),
    (
        "secrets.files[1].secret=ledger",
        "secrets.files[1]: another volume is mounted at /var/run/secrets/ledger",
    ),
    (
        "secrets.files[0].mountPath=/etc/sidecar/",
        "secrets.files[0]: another volume is mounted at /etc/sidecar",
    ),
    ("volumeMounts[0].name=x,volumeMounts[0].mountPath=/x", "volumeMounts[0].name: there is no volume x"),
    ("volumes[0].name=sidecar-config", "volumes[0].name: the sidecar has a volume sidecar-config"),
    ("volumes[0].name=x,volumes[1].name=x", "volumes[1].name: there are two volumes x"),
    (
        "volumes[0].name=x,volumes[0].emptydir.medium=Memory",
        "volumes.0: Additional property emptydir is not allowed",
    ),
    ("volumes[0].name=My_Volume", "volumes.0.name: Does not match pattern"),
    ("volumes[0].emptyDir.medium=Memory", "volumes.0: name is required"),
    (
        "volumes[0].name=x,volumes[0].configMap.nam=c",
        "volumes.0.configMap: Additional property nam is not allowed",
    ),
    ("volumes[0].name=x,volumes[0].secret.optional=true", "volumes.0.secret: secretName is required"),
    (
        "volumes[0].name=x,volumes[0].emptyDir.medium=Memry",
        "volumes.0.emptyDir.medium: Does not match pattern",
    ),
    (
        "volumes[0].name=x,volumes[0].emptyDir.sizeLimit=1Mb",
        "volumes.0.emptyDir.sizeLimit: Does not match pattern",
    ),
    (
        "volumes[0].name=x,volumes[0].emptyDir.medium=Memory,volumes[0].secret.secretName=s",
        "volumes.0: Must have at most 2 properties",
    ),
    (
        "volumes[0].name=x,volumes[0].projected.sources[0].serviceAccountToken.audience=a",
        "volumes.0.projected.sources.0.serviceAccountToken: path is required",
    ),
    (
        "volumes[0].name=x,volumes[0].secret.secretName=s,volumes[0].secret.defaultMode=644",
        "volumes.0.secret.defaultMode: Must be less than or equal to 511",
    ),
    (
        "volumes[0].name=x,volumeMounts[0].name=x,volumeMounts[0].mountPath=/x,volumeMounts[0].readonly=true",
        "volumeMounts.0: Additional property readonly is not allowed",
    ),
    (
        "volumes[0].name=x,volumeMounts[0].name=x,volumeMounts[0].mountPath=/x:y",
        "volumeMounts.0.mountPath: Does not match pattern",
    ),
    ("secrets.files[0].mountPath=/x:y", "secrets.files.0.mountPath: Does not match pattern"),
    ("secrets.files[0].items[0].key=a", "secrets.files.0.items.0: path is required"),
    ("env[0].name=X,env[0].valueFrom.secretRef.name=s", "env.0.valueFrom: Additional property secretRef"),
    ("env[0].name=X,env[0].valueFrom.secretKeyRef.name=s", "env.0.valueFrom.secretKeyRef: key is required"),
    (
        "env[0].name=X,env[0].value=a,env[0].valueFrom.fieldRef.fieldPath=status.podIP",
        "env.0: Must have at most 2 properties",
    ),
    ("env[0].name=A B", "env.0.name: Does not match pattern"),
    ("image.repository=my image", "image.repository: Does not match pattern"),
    ("image.tag=:1", "image.tag: Does not match pattern"),
    ("config.admin.listen=0.0.0.0:65536", "config.admin.listen: the kubelet cannot reach 0.0.0.0:65536"),
    ("config.admin.listen=0.0.0.0:0", "config.admin.listen: the kubelet cannot reach 0.0.0.0:0"),
    (
        "config.admin.listen=unix:/run/admin9",
        "config.admin.listen: the kubelet cannot reach unix:/run/admin9",
    ),
    ("securityContext.runAsUsr=1", "securityContext: Additional property runAsUsr is not allowed"),
    ("securityContext.runAsUser=-1", "securityContext.runAsUser: Must be greater than or equal to 0"),
    ("securityContext.seccompProfile.type=RuntimeDefalt", "securityContext.seccompProfile.type"),
    ("securityContext.capabilities.drop=ALL", "securityContext.capabilities.drop: Invalid type"),
    (
        "volumes[0].name=x,volumeMounts[0].name=x,volumeMounts[0].mountPath=/etc/sidecar",
        "volumeMounts[0].mountPath: another volume is mounted at /etc/sidecar",
    ),
]
"""What Kubernetes would refuse only when a pod is created."""


@pytest.mark.parametrize(("bad", "named"), REFUSED_LATER, ids=[bad for bad, _ in REFUSED_LATER])
def test_c6_values_of_which_pods_are_refused_are_refused_at_once(bad: str, named: str) -> None:
    """Otherwise the installation succeeds, and then no labelled pod starts."""
    with pytest.raises(HelmError) as refused:
        rendered(MINIMAL, "mode=inject", bad)
    assert named in str(refused.value)


def with_resources(directory: Path, requests: dict[str, str], limits: dict[str, str]) -> Path:
    """A values file with these."""
    values = yaml.safe_load(MINIMAL.read_text())
    file = directory / "values.yaml"
    file.write_text(json.dumps({**values, "resources": {"requests": requests, "limits": limits}}))
    return file


@pytest.mark.parametrize(("requests", "limits", "message"), REFUSED)
def test_c6_requests_that_kubernetes_refuses_are_refused(
    requests: dict[str, str], limits: dict[str, str], message: str, tmp_path: Path
) -> None:
    """In the words of `sidecar inject`."""
    with pytest.raises(HelmError, match=rf"resources\.(requests|limits)\.{re.escape(message)}"):
        rendered(with_resources(tmp_path, requests, limits), "mode=inject")


@pytest.mark.parametrize(("requests", "limits"), TAKEN)
def test_c6_others_are_taken(requests: dict[str, str], limits: dict[str, str], tmp_path: Path) -> None:
    """In whatever unit."""
    [spec] = pod_specs(render(with_resources(tmp_path, requests, limits), "mode=app"))
    assert sidecar_of(spec)["resources"] == {"requests": requests, "limits": limits}


def test_c6_numbers_are_compared_too(tmp_path: Path) -> None:
    """Those that are no text in the values."""
    with pytest.raises(
        HelmError, match=r"resources\.requests\.cpu: the request 1.5 exceeds the limit 1; raise"
    ):
        rendered(MINIMAL, "mode=none", "resources.requests.cpu=1.5", "resources.limits.cpu=1")
    assert rendered(
        MINIMAL, "mode=none", "resources.requests.memory=5000000000", "resources.limits.memory=5G"
    )


VOLUMES = [
    "volumes[0].name=x",
    "volumes[0].name=x,volumes[0].emptyDir.sizeLimit=1Mi,volumeMounts[0].name=x,volumeMounts[0].mountPath=/x",
    "volumes[0].name=x,volumes[0].csi.driver=secrets-store.csi.k8s.io,volumes[0].csi.readOnly=true",
    "volumes[0].name=x,volumes[0].hostPath.path=/run/spire,volumes[0].hostPath.type=Directory",
    "volumes[0].name=x,volumes[0].image.reference=example/ca:1",
    "volumes[0].name=x,volumes[0].projected.sources[0].clusterTrustBundle.path=ca.pem",
    "volumes[0].name=x,volumes[0].secret.secretName=s,volumes[0].secret.defaultMode=288",
    "env[0].name=IP,env[0].valueFrom.fieldRef.fieldPath=status.podIP",
    "securityContext.seLinuxOptions.level=s0,securityContext.appArmorProfile.type=RuntimeDefault",
]


@pytest.mark.parametrize("good", VOLUMES)
def test_c6_all_that_kubernetes_has_may_be_in_the_values(good: str) -> None:
    """Any kind of volume, and all fields of the container that can be set."""
    assert rendered(MINIMAL, "mode=inject", good)


def test_c6_the_command_knows_the_same_fields() -> None:
    """Those of a security context; and the types are of the newest version that the chart is tested with."""
    schema = kubernetes_types.definitions()[f"{kubernetes_types.PREFIX}SecurityContext"]
    assert sorted(SECURITY_FIELDS) == sorted(schema["properties"])
    assert KUBERNETES.startswith(f"{kubernetes_types.VERSION}.")


@pytest.mark.parametrize("mode", MODES)
def test_a_configuration_is_needed(mode: str) -> None:
    """The defaults are not enough; the error names what is missing."""
    with pytest.raises(
        HelmError, match=r"config\.routes: give the sidecar at least one route, or existingConfigMap"
    ):
        rendered(None, f"mode={mode}")


@pytest.mark.parametrize("cluster", ["1.29.0", "1.32.0", "1.35.2", "1.35.9-gke.100"])
def test_an_old_cluster_cannot_inject(cluster: str) -> None:
    """K7, C12: the message says what to do instead, and which flag `helm template` may lack."""
    with pytest.raises(HelmError) as refused:
        rendered(MINIMAL, "mode=inject", cluster=cluster)
    assert f"mode: inject requires Kubernetes 1.36 or later, this is v{cluster}; use" in str(refused.value)
    assert "add --kube-version" in str(refused.value)


def test_k7_helm_renders_for_its_default_version_or_names_the_flag() -> None:
    """Every mode, as it is typed at first; with the flag that the message names it works."""
    typed = ("template", "r", str(CHART), "--values", str(MINIMAL))
    image = "app.container.image=registry.example.com/app:1"
    assert helm(*typed, "--set", "mode=none")
    assert helm(*typed, "--set", "mode=app", "--set", image)
    try:
        assert helm(*typed, "--set", "mode=inject")  # a later Helm
    except HelmError as refused:
        assert "`helm template` does not know your cluster: add --kube-version" in str(refused)  # noqa: PT017
    for cluster in ("1.36", "1.36.0-eks-1", "v1.37.2"):
        assert helm(*typed, "--set", "mode=inject", "--kube-version", cluster)


def test_a_cluster_without_native_sidecars_is_refused() -> None:
    """The oldest that is tested is the oldest that is taken."""
    with pytest.raises(HelmError, match=r"chart requires kubeVersion: >=1\.29\.0-0"):
        rendered(MINIMAL, cluster="1.28.9")
    assert rendered(MINIMAL, cluster="1.29.0")


def test_the_schema_is_the_programs() -> None:
    """`make chart` would change nothing."""
    assert generate.SCHEMA.read_text() == generate.schema()


def test_k3_the_defaults_are_those_of_the_values() -> None:
    """`make chart` would change nothing."""
    assert generate.DEFAULTS.read_text() == generate.defaults()


def nulled() -> list[str]:
    """Each value and each section of values, as `key:` with nothing after it."""
    paths = [value.path.split(".") for value in generate.values() if value.path != "config"]
    return sorted({".".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1)})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("parent", [False, True], ids=["own values", "values of a parent chart"])
def test_k3_a_value_without_content_is_its_default(mode: str, parent: bool, tmp_path: Path) -> None:
    """All of them at once, and the sections without their keys."""
    given = {"config": {"routes": [{"name": "a", "upstream": "https://a.test"}]}, "mode": mode}
    image = {"container": {"image": "example/app:1"}}
    chart = CHART
    if parent:
        chart = tmp_path / "parent"
        copytree(CHART, chart / "charts" / "credential-sidecar")
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: parent, version: 1.0.0}")
    rest = [path for path in nulled() if path not in {"mode", "app", "app.container"}]
    assert len(rest) > 40
    texts = list[str]()
    for paths in ([], [each for each in rest if "." in each], [each for each in rest if "." not in each]):
        values: Manifest = {**deepcopy(given), "app": dict(image)}
        for path in paths:
            *sections, name = path.split(".")
            place = values
            for section in sections:
                place = place.setdefault(section, {})
            place[name] = None
        file = tmp_path / f"{len(texts)}.yaml"
        file.write_text(yaml.safe_dump({"credential-sidecar": values} if parent else values))
        texts.append(rendered(file, chart=chart))
    assert texts == [texts[0]] * 3


def test_the_charts_page_is_that_of_its_values() -> None:
    """`make chart` would change nothing, and no value is without a meaning."""
    assert generate.README.read_text() == generate.readme()
    assert [value.path for value in generate.values() if not value.meaning] == []


def test_the_chart_is_of_the_programs_version() -> None:
    """It installs the image that goes with it."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


def test_o11_the_charts_metadata_says_what_it_is_and_invents_no_address() -> None:
    """A search in a registry finds it by these words; there is no page of the project's that it could name."""
    text = (CHART / "Chart.yaml").read_text()
    chart = yaml.safe_load(text)
    assert {"oauth2", "sidecar", "token-exchange"} <= set(chart["keywords"])
    assert [set(maintainer) for maintainer in chart["maintainers"]] == [{"name"}]
    assert "@" not in text


CONFIGURED = [setup for setup in SETUPS if setup.stem != "existing-configmap-values"]


@pytest.mark.parametrize("setup", CONFIGURED, ids=lambda path: path.stem.removesuffix("-values"))
def test_the_configuration_is_valid(
    setup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sidecar validate` has nothing against what lies in the pod: the file, the variables and the mounted Secrets."""
    pod = RenderedPod(render(setup, "mode=app"), tmp_path)
    for name, value in pod.environ.items():
        monkeypatch.setenv(name, value)
    code = main.main(["validate", "--config", str(pod.config)])
    assert code == 0, capsys.readouterr().err
    assert f"admin {pod.environ['SIDECAR_ADMIN_LISTEN']}" in capsys.readouterr().out


RESTARTS = {
    "listen": "config.listen=127.0.0.1:9000",
    "admin.listen": "config.admin.listen=0.0.0.0:9000",
    "token_api.listen": "config.token_api.listen=127.0.0.1:9000,config.token_api.tokens[0]=ledger",
    "cache.mode": "config.cache.mode=local",
    "cache.store_ttl": "config.cache.store_ttl=5s",
    "cache.max_entries": "config.cache.max_entries=5",
    "redis": "config.redis.url=redis://x.test",
    "busts": "config.busts.listen[0].channel=c,config.busts.listen[0].dialect=lerian",
    "log.format": "config.log.format=console",
}
"""A change of each key that takes a restart."""
ALIVE = (
    "config.routes[0].upstream=https://other.test",
    "config.cache.leeway=10s",
    "config.drain_timeout=10s",
    "config.log.level=debug",
    "config.admin.token.env=TOKEN",
)


@pytest.mark.parametrize("change", [*RESTARTS.values(), *ALIVE])
def test_pods_are_replaced_only_for_what_takes_a_restart(change: str) -> None:
    """All else the running sidecar reads from the changed file."""
    before, after = (
        of_kind("Deployment", render(MINIMAL, "mode=app", *sets))["spec"]["template"]
        for sets in ((), (change,))
    )
    assert (before != after) is (change in RESTARTS.values())


def test_every_key_that_takes_a_restart_is_known() -> None:
    """The program's list, of the keys that its schema marks so."""
    assert set(RESTARTS) == set(RESTART_KEYS)


@pytest.mark.parametrize(
    ("setup", "audience", "variables"),
    [
        ("irsa", "sts.amazonaws.com", {"AWS_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"}),
        (
            "pod-identity",
            "pods.eks.amazonaws.com",
            {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"},
        ),
    ],
)
def test_the_role_in_aws_is_the_sidecars_alone(setup: str, audience: str, variables: set[str]) -> None:
    """Its token is mounted there and nowhere else; the application sees neither token nor variables."""
    manifests = render(CHART / "ci" / f"{setup}-values.yaml", "mode=app")
    [spec] = pod_specs(manifests)
    sidecar = sidecar_of(spec)
    [token] = [volume["projected"]["sources"][0] for volume in spec["volumes"] if "projected" in volume]
    assert token["serviceAccountToken"]["audience"] == audience
    assert {each["name"] for each in sidecar["env"] if each["name"].startswith("AWS_")} == variables
    [app] = spec["containers"]
    assert "env" not in app
    assert "volumeMounts" not in app
    pod = of_kind("Deployment", manifests)["spec"]["template"]
    assert pod["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == app["name"]


def test_the_network_policy_opens_the_admin_port_and_the_service() -> None:
    """And what was asked for; the pods of the release are meant, in whatever mode."""
    policy = of_kind("NetworkPolicy", render(CHART / "ci" / "isolated-values.yaml", "mode=app"))["spec"]
    assert [[port["port"] for port in rule["ports"]] for rule in policy["ingress"]] == [
        [9181],
        [8080],
        [8443],
    ]
    assert policy["ingress"][0]["from"][0]["namespaceSelector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["podSelector"]["matchLabels"] == {"credential-sidecar/inject": "r-credential-sidecar"}


def test_valkey_comes_with_a_key() -> None:
    """The fleet can be tried out with one value: the sidecar gets an address that exists, and 32 random bytes."""
    manifests = render(CHART / "ci" / "valkey-values.yaml", "mode=app")
    env = {each["name"]: each for each in sidecar_of(next(pod_specs(manifests)))["env"]}
    found = {
        each["kind"]: each for each in manifests if each["metadata"]["name"] == "r-credential-sidecar-valkey"
    }
    reference = env["SIDECAR_ENCRYPTION_KEY"]["valueFrom"]["secretKeyRef"]
    assert reference["name"] == found["Secret"]["metadata"]["name"]
    assert len(b64decode(b64decode(found["Secret"]["data"][reference["key"]]))) == 32
    name, port = found["Service"]["metadata"]["name"], found["Service"]["spec"]["ports"][0]["port"]
    assert env["REDIS_URL"]["value"] == f"redis://{name}.prod.svc:{port}/0"
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"] == labels
