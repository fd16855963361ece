"""The sidecar in other people's manifests: everything else stays as it is, to the byte, and it comes out again."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from sidecar.config import durations
from sidecar.config.schema import File
from sidecar.core.errors import ManifestRefused
from sidecar.kubernetes.container import DRAIN_TIMEOUT, Blanks, fill
from sidecar.kubernetes.inject import inject, remove, warnings
from tests.support.examples import examples

MANIFESTS = sorted((Path(__file__).parent / "manifests").iterdir())
NATIVE = Blanks("config", secret_files=(("fleet", "/var/run/secrets/fleet"),))
CLASSIC = Blanks("config", "registry.example.com/sidecar:1", native=False, secret_env=(("ID", "app", "id"),))

Tree = Any
"""YAML as loaded."""
PATHS: Mapping[str, tuple[str, ...]] = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), ("spec", "template", "spec")
    ),
}


def loaded(text: str) -> list[Tree]:
    """Every document, what an alias stands for written out; without the tabs that PyYAML takes only in quotes."""
    if text.startswith(("{\n", '{"')):
        return [json.loads(text)]
    spaced = "\n".join(line if '"' in line else line.replace("\t", " ") for line in text.split("\n"))
    documents = yaml.load_all(spaced, Loader=yaml.CSafeLoader)
    return [json.loads(json.dumps(document)) for document in documents]


def pods(document: Tree) -> Iterator[tuple[str, Tree]]:
    """The kind and the pod of each workload."""
    if not isinstance(document, dict):
        return
    for each in document.get("items", [document]):
        pod = each
        for name in PATHS.get(each.get("kind"), ()):
            pod = pod[name]
        if pod is not each:
            yield each["kind"], pod


def expected(text: str, blanks: Blanks) -> list[Tree]:
    """The same with the sidecar in each pod, by what the words say and not by the text."""
    documents = loaded(text)
    sidecar = fill(blanks)
    for document in documents:
        for _, pod in pods(document):
            pod["volumes"] = [*deepcopy(sidecar.volumes), *(pod.get("volumes") or [])]
            if blanks.native:
                pod["initContainers"] = [sidecar.container, *(pod.get("initContainers") or [])]
            else:
                pod["containers"] = [*pod["containers"], sidecar.container]
    return documents


def manifest(path: Path) -> str:
    return path.read_bytes().decode()


def blanks_for(text: str) -> list[Blanks]:
    """Jobs, and other pods that end, take no classic container."""
    found = [each for document in loaded(text) for each in pods(document)]
    ends = any(kind.endswith("Job") or pod.get("restartPolicy", "Always") != "Always" for kind, pod in found)
    return [NATIVE] if ends else [NATIVE, CLASSIC]


def check(text: str, blanks: Blanks) -> None:
    """All that is promised of one manifest."""
    out = inject(text, blanks)
    assert loaded(out) == expected(text, blanks)
    assert inject(out, blanks) == out
    assert remove(out) == text


# Round trips


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_has_the_sidecar_and_gives_it_back(path: Path) -> None:
    """It means the same but for the sidecar; a second time changes nothing; taken out, every byte is as it was."""
    text = manifest(path)
    for blanks in blanks_for(text):
        check(text, blanks)


FLOW = {
    "one-line.json",
    "long-line.json",
    "pretty.json",
    "tabs.json",
    "flow.yaml",
    "flow-lists.yaml",
    "compact.yaml",
}
NOTHING = {"empty-lists.yaml", "helm-empty-keys.yaml", "null-at-end.yaml"}
"""Manifests that have a list in flow style, or one of nothing: a line changes."""


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_nothing_is_taken_away_or_moved(path: Path) -> None:
    """What comes out is what went in and more between: whole lines, in block style, with the file's own ends."""
    text = manifest(path)
    for blanks in blanks_for(text):
        out = inject(text, blanks)
        rest = iter(out)
        assert all(character in rest for character in text)
        if path.name not in FLOW | NOTHING:
            lines = iter(out.splitlines())
            assert all(line in lines for line in text.splitlines())
        assert ("\r\n" in text) == ("\r\n" in out)
        assert out.count("\r\n") in {0, out.count("\n")}


def test_there_are_thirty_manifests_and_all_kinds_of_workload() -> None:
    """The round trips are worth something."""
    kinds = {kind for path in MANIFESTS for document in loaded(manifest(path)) for kind, _ in pods(document)}
    assert len(MANIFESTS) >= 30
    assert kinds == set(PATHS)


def test_json_stays_json() -> None:
    """`kubectl get -o json` can be piped through."""
    for path in (path for path in MANIFESTS if path.suffix == ".json"):
        text = manifest(path)
        assert [json.loads(inject(text, NATIVE))] == expected(text, NATIVE)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_other_blanks_change_only_our_container(path: Path) -> None:
    """A second run with other flags is as if the first had never been, also from native to classic."""
    text = manifest(path)
    once = inject(text, NATIVE)
    assert [inject(once, blanks) == inject(text, blanks) for blanks in blanks_for(text)[1:]] in ([], [True])


def test_what_another_tool_wrote_anew_is_found_again() -> None:
    """Without its comments, quotes and order the sidecar is still ours."""
    text = manifest(Path(__file__).parent / "manifests/deployment-indented.yaml")
    written = yaml.safe_dump_all(loaded(inject(text, NATIVE)), sort_keys=True)
    assert loaded(remove(written)) == loaded(text)
    assert loaded(inject(written, CLASSIC)) == expected(text, CLASSIC)


# Made up


POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
"""
APP = """\
  containers:
  - name: app
    image: app
"""


@pytest.mark.parametrize(
    "value", ["", " ", " ~", " null", "   NULL", " # c", "   # null", " ~ # c", " []", " [ ]"]
)
@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_list_of_nothing_gets_its_own_nothing_back(value: str, above: bool, end: str) -> None:
    """However it is written, before the containers or at the end of a file without a line break."""
    keys = f"  initContainers:{value}\n  volumes:{value}\n"
    text = POD + (keys + APP if above else APP + keys)
    text = text.removesuffix("\n").replace("\n", end or "\n") + end
    check(text, NATIVE)
    if not value or "[" in value or "#" in value:  # for a classic container, one of each kind
        check(text, CLASSIC)


@pytest.mark.parametrize("empty", ["[]", "[ ]", "[  ]"])
def test_an_empty_list_in_flow_style_stays_one(empty: str) -> None:
    """It is distinguished from a list that is there only for the sidecar."""
    for lists in (f"initContainers: {empty}, volumes: {empty}, ", f"volumes: {empty}, ", ""):
        text = f"{{kind: Pod, spec: {{{lists}containers: [{{name: app}}]}}}}"
        check(text, NATIVE)
        check(text, CLASSIC)


def test_a_comment_stays_above_what_it_is_about() -> None:
    """Ours goes above the comment, whether a key of ours or a first entry; a comment elsewhere stays where it is."""
    text = (
        POD
        + APP.replace("  containers", "  # all of them\n  # are ours\n  containers")
        + "  volumes:\n  # old\n  - name: v\n"
    )
    out = inject(text, NATIVE)
    assert "spec:\n  initContainers:\n" in out
    assert "  # all of them\n  # are ours\n  containers:\n" in out
    assert "  volumes:\n  - name: sidecar-config\n" in out
    assert "  # old\n  - name: v\n" in out


@pytest.mark.parametrize("literal", ["|", "|-", "|+", ">", ">+"])
def test_a_text_at_the_end_stays_the_same_text(literal: str) -> None:
    """What comes behind a block scalar does not become part of it, nor the line break before it."""
    text = f"{POD}{APP}    args:\n    - {literal}\n      one\n      two\n"
    for blank_lines in ("", "\n", "\n\n"):
        check(text + blank_lines, NATIVE)
        check(text + blank_lines, CLASSIC)


WORDS = st.text(st.sampled_from("ab \n\"'#:-{}[],&*!|>%@`?~üλ🚀\\"), max_size=12)
SCALARS = WORDS | st.none() | st.booleans() | st.integers()


def lists(name: str) -> st.SearchStrategy[list[Tree]]:
    """Entries with names, and more of any form."""
    more = st.dictionaries(WORDS, SCALARS | st.lists(SCALARS, max_size=2), max_size=2)
    entry = st.builds(lambda number, more: {"name": f"{name}-{number}", **more}, st.integers(0, 9), more)
    return st.lists(entry, min_size=1, max_size=3)


NOTHING_YET: st.SearchStrategy[list[Tree] | None] = st.none() | st.builds(list)
PODS = st.fixed_dictionaries(
    {"containers": lists("app")},
    optional={
        "initContainers": lists("init") | NOTHING_YET,
        "volumes": lists("volume") | NOTHING_YET,
        "x": SCALARS,
    },
).flatmap(lambda pod: st.permutations(list(pod.items())).map(dict))


class Indented(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


@st.composite
def manifests(draw: st.DrawFn) -> str:
    """Pods in one of YAML's many forms, with comments wherever they do not change what it says."""
    documents = [{"kind": "Pod", "spec": pod} for pod in draw(st.lists(PODS, min_size=1, max_size=3))]
    text = yaml.dump_all(
        documents,
        Dumper=draw(st.sampled_from([yaml.SafeDumper, Indented])),
        default_flow_style=draw(st.sampled_from([False, None, True])),
        allow_unicode=True,
        sort_keys=False,
        indent=draw(st.integers(2, 5)),
        width=draw(st.sampled_from([20, 1000])),
        explicit_start=draw(st.booleans()),
    )
    lines = text.splitlines(keepends=True)
    places = st.tuples(
        st.integers(0, len(lines)), st.integers(0, 8), st.sampled_from(["# c\n", "\n", "#\tc: [\n"])
    )
    for place, column, comment in draw(st.lists(places, max_size=5)):
        lines.insert(place, " " * column + comment)
    text = "".join(lines)
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    try:
        assume(
            [set(document["spec"]) for document in loaded(text)] == [set(each["spec"]) for each in documents]
        )
    except yaml.YAMLError:
        reject()
    return text


@settings(max_examples=examples(50))
@given(manifests(), st.sampled_from([NATIVE, CLASSIC]))
def test_any_manifest_has_the_sidecar_and_gives_it_back(text: str, blanks: Blanks) -> None:
    """The same for any manifest; those that cannot be changed are refused for a reason that is true."""
    try:
        check(text, blanks)
    except ManifestRefused as error:
        reason = str(error)
        assert ("it is null" in reason and "null" in text) or "end the file with a line break" in reason


PIECES = [
    *"\t\r:,[]{}'\"",
    "\n",
    "  ",
    "- ",
    "? ",
    "# c\n",
    "null",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!seq ",
    "---\n",
    "kind: Job\n",
]
PARTS = st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(["", *PIECES]))
SHORT = [text for text in map(manifest, MANIFESTS) if len(text) < 2000]


@settings(max_examples=examples(50))
@given(st.sampled_from(SHORT), st.lists(PARTS, min_size=1, max_size=3), st.sampled_from([NATIVE, CLASSIC]))
def test_a_damaged_manifest_is_refused_or_given_back(
    text: str, parts: list[tuple[float, int, str]], blanks: Blanks
) -> None:
    """Whatever was cut out of it and put in: there is no third way."""
    for place, length, piece in parts:
        start = int(place * len(text))
        text = text[:start] + piece + text[start + length :]
    with suppress(ManifestRefused):
        out = inject(text, blanks)
        assert inject(out, blanks) == out
        assert remove(out) == text


# Refused


def refused(text: str, blanks: Blanks = NATIVE) -> str:
    with pytest.raises(ManifestRefused) as error:
        inject(text, blanks)
    return str(error.value)


SHARED = """\
kind: List
items:
- {kind: Pod, spec: {containers: &c [{name: a}], volumes: &v []}}
- {kind: Pod, spec: {containers: *c, initContainers: *v}}
"""
REFUSED: list[tuple[str, str, Blanks, str]] = [
    ("kind twice", "kind: Pod\nkind: Job", NATIVE, "document 1: kind: the same mapping has it twice"),
    ("template", "spec: {{ .Values.spec }}\n{{- end }}", NATIVE, "line 2: not YAML: "),
    ("control character", "a: \x07", NATIVE, "not YAML: it holds characters that YAML does not allow"),
    ("no anchor", "a: *b", NATIVE, "line 1: there is no anchor &b before *b"),
    ("nothing", "", NATIVE, "cannot find a pod in the manifest: it contains none of Pod, Deployment"),
    (
        "no workload",
        "kind: Service",
        NATIVE,
        "cannot find a pod in the manifest: it contains none of Pod, Deployment",
    ),
    (
        "no spec",
        "kind: Deployment\nmetadata: {name: d}",
        NATIVE,
        "document 1 (Deployment d): spec: the Deployment has none",
    ),
    (
        "no template",
        "---\n---\nkind: Job\nspec: {}",
        NATIVE,
        "document 2 (Job): spec.template: the Job has none",
    ),
    (
        "no containers",
        "kind: Pod\nspec: {a: b}",
        NATIVE,
        "document 1 (Pod): spec.containers: the pod has none",
    ),
    ("empty containers", "kind: Pod\nspec: {containers: []}", NATIVE, "spec.containers: the pod has none"),
    (
        "in a list",
        "kind: List\nitems: [{kind: Pod, spec: {}}]",
        NATIVE,
        "items[0].spec.containers: the pod has none",
    ),
    ("containers of text", "kind: Pod\nspec: {containers: a}", NATIVE, "spec.containers: this is not a list"),
    ("volumes of text", f"{POD}{APP}  volumes: a", NATIVE, "spec.volumes: this is not a list"),
    (
        "null in flow",
        "kind: Pod\nspec: {containers: [{name: a}], volumes: null}",
        NATIVE,
        "spec.volumes: it is null",
    ),
    ("twice", f"{POD}{APP}{APP}", NATIVE, "containers: the same mapping has it twice"),
    (
        "our name",
        f"{POD}{APP}  - name: sidecar\n",
        NATIVE,
        "spec.containers[1]: a container of that name exists",
    ),
    (
        "our init name",
        f"{POD}{APP}  initContainers: [{{name: sidecar}}]",
        CLASSIC,
        "spec.initContainers[0]: a container",
    ),
    (
        "our volume",
        f"{POD}{APP}  volumes: [{{name: sidecar-config}}]",
        NATIVE,
        "spec.volumes[0]: a volume of that name",
    ),
    (
        "data port",
        f"{POD}{APP}    ports: [{{containerPort: 9180}}]",
        NATIVE,
        "spec.containers[0].ports[0]: 9180 is where",
    ),
    (
        "admin port",
        f"{POD}{APP}    ports: [{{containerPort: 9181}}]",
        NATIVE,
        "ports[0]: 9181 is the sidecar's admin server",
    ),
    ("host network", f"{POD}{APP}  hostNetwork: true", NATIVE, "spec.hostNetwork: every process of the node"),
    (
        "host processes",
        f"{POD}{APP}  hostPID: true",
        NATIVE,
        "spec.hostPID: privileged containers of other pods could",
    ),
    (
        "classic job",
        "kind: Job\nspec: {template: {spec: {containers: [{name: a}]}}}",
        CLASSIC,
        "restartPolicy: with a classic container the pod would never complete",
    ),
    (
        "shared list",
        f"x: &v [{{name: a}}]\n{POD}{APP}  volumes: *v",
        NATIVE,
        "an alias or a merge (<<) shares",
    ),
    (
        "shared pod",
        f"{POD.replace('spec:', 'spec: &s')}{APP}copy: *s",
        NATIVE,
        "an alias or a merge (<<) shares",
    ),
    (
        "merged list",
        f"x: &v {{volumes: [{{name: a}}]}}\n{POD}{APP}  <<: *v",
        NATIVE,
        "an alias or a merge (<<) shares",
    ),
    ("two lists in one", SHARED, NATIVE, "an alias or a merge (<<) shares"),
    ("null by alias", f"x: &v\n{POD}{APP}  volumes: *v", NATIVE, "spec.volumes: this is not a list"),
    ("explicit key", f"{POD}  ? containers\n  : - name: a", NATIVE, "write its keys on lines of their own"),
    ("no line break", f"{POD}{APP}    args:\n    - |\n      a", CLASSIC, "end the file with a line break"),
    (
        "in itself",
        "kind: Pod\nspec: &s\n  containers: [{name: a}]\n  x: *s",
        NATIVE,
        "an alias contains itself",
    ),
    ("deep flow", "a: " + "[" * 50_000, NATIVE, "line 1: nested more than 200 levels deep"),
    ("deep JSON", "\n" + '{"a":' * 50_000, NATIVE, "line 2: nested more than 200 levels deep"),
    ("deep blocks", "- " * 5000 + "a", NATIVE, "line 1: nested more than 200 levels deep"),
    (
        "deep in a pod",
        f"{POD}{APP}  x: {'[' * 5000}{']' * 5000}\n",
        NATIVE,
        "line 8: nested more than 200 levels deep",
    ),
]


@pytest.mark.parametrize(
    ("text", "blanks", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_cannot_be_done_is_refused(text: str, blanks: Blanks, said: str) -> None:
    """The message says in which document, where in it, and why."""
    assert said in refused(text, blanks)


@pytest.mark.parametrize("yes", ["true", "True", "yes", "on", "y", '"true"'])
@pytest.mark.parametrize("blanks", [NATIVE, CLASSIC, Blanks("c", listen="unix:/run/sidecar/http.sock")])
def test_s4_no_sidecar_goes_among_the_nodes_processes(yes: str, blanks: Blanks) -> None:
    """However it is written, and wherever the sidecar listens; taking it out again is no matter."""
    text = f"{POD}{APP}  hostPID: {yes}\n"
    assert "spec.hostPID: privileged containers of other pods" in refused(text, blanks)
    assert remove(text) == text
    check(f"{POD}{APP}  hostPID: false\n", NATIVE)


def test_s4_a_shared_process_namespace_is_warned_of() -> None:
    """In which document and where; the sidecar is added all the same."""
    shared = f"{POD}{APP}  shareProcessNamespace: true\n"
    deployment = (
        "kind: Deployment\nmetadata: {name: d}\n"
        "spec: {template: {spec: {shareProcessNamespace: true, containers: [{name: a}]}}}\n"
    )
    text = f"{shared}---\n---\n{POD}{APP}  shareProcessNamespace: false\n---\n{deployment}"
    check(text, NATIVE)
    assert [line.split(": ")[:2] for line in warnings(text)] == [
        ["document 1 (Pod p)", "spec.shareProcessNamespace"],
        ["document 4 (Deployment d)", "spec.template.spec.shareProcessNamespace"],
    ]


@pytest.mark.parametrize(
    ("grace", "warned"),
    [
        ("0", True), ("1", True), ("10", True), ("25", True), ('"20"', True), ("&short 5", True),
        ("26", False), ("60", False), ("3600", False), ("9" * 4000, False),
        ("null", False), ("", False), ("-1", False), ("ten", False), ("²", False), ("[5]", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("blanks", [NATIVE, CLASSIC])
def test_a_grace_period_that_the_drain_may_exceed_is_warned_of(
    grace: str, warned: bool, blanks: Blanks
) -> None:
    """The sidecar is added all the same. Without the key Kubernetes waits 30 s, which is enough."""
    text = f"{POD}{APP}  terminationGracePeriodSeconds: {grace}\n"
    check(text, blanks)
    told = warnings(text)
    assert [line.split(": ")[:2] for line in told] == [
        ["document 1 (Pod p)", "spec.terminationGracePeriodSeconds"]
    ] * warned
    assert all("set more than 25 s plus" in line for line in told)


def test_the_default_drain_timeout_is_the_programs() -> None:
    """Stated twice, because `sidecar inject` loads no configuration."""
    assert durations.seconds(File(routes=()).drain_timeout) == DRAIN_TIMEOUT


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_c9_no_classic_sidecar_where_the_pod_ends(policy: str) -> None:
    """Whatever owns the pod; a native sidecar is no obstacle, and a pod that restarts takes a classic one."""
    ends = f"{POD}{APP}  restartPolicy: {policy}\n"
    assert "spec.restartPolicy: with a classic container the pod would never complete" in refused(
        ends, CLASSIC
    )
    check(ends, NATIVE)
    check(f"{POD}{APP}  restartPolicy: Always\n", CLASSIC)


@pytest.mark.parametrize("windows", ["os: {name: windows}", "nodeSelector: {kubernetes.io/os: windows}"])
def test_c8_a_pod_for_windows_is_refused(windows: str) -> None:
    """The image is for Linux."""
    assert "the pod is for Windows" in refused(f"{POD}{APP}  {windows}\n")
    check(f"{POD}{APP}  {windows.replace('windows', 'linux')}\n", NATIVE)


def test_every_fault_is_told_at_once() -> None:
    """One line for each document that has one."""
    text = f"{POD}{APP}---\n{POD}---\nkind: Job\n---\nkind: Secret\n"
    assert [line.split(":")[0] for line in refused(text).splitlines()] == [
        "document 2 (Pod p)",
        "document 3 (Job)",
    ]


def test_ports_and_the_nodes_network_are_free_where_the_sidecar_is_not() -> None:
    """It can be moved away, and needs no port at all on a Unix socket."""
    ports = f"{POD}{APP}    ports: [{{containerPort: 9180}}, {{containerPort: 9181}}]\n"
    check(ports, Blanks("c", listen="127.0.0.1:19180", admin_listen="0.0.0.0:19181"))
    check(f"{POD}{APP}  hostNetwork: true\n", Blanks("c", listen="unix:/run/sidecar/http.sock"))


@pytest.mark.parametrize(
    "blanks",
    [
        Blanks("c", listen="0.0.0.0:80"),
        Blanks("c", listen="x"),
        Blanks("c", admin_listen="unix:/a"),
        Blanks("c", admin_listen="127.0.0.1:1"),
    ],
)
def test_an_address_the_sidecar_cannot_have_is_refused(blanks: Blanks) -> None:
    """Before it is in any pod."""
    with pytest.raises(ValueError, match=r"write|not a loopback"):
        inject(POD + APP, blanks)
