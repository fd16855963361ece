"""A MutatingAdmissionPolicy as the API server evaluates it: real CEL, typed, then real JSON patches.

CEL is Google's own C++ runtime. JSONPatch, which Kubernetes declares, is here a message with the same fields.
"""

import json
from copy import deepcopy
from functools import cache
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, struct_pb2

from tests.system.chart.helm import Manifest

_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE


@cache
def _environment() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="jsonpatch.proto", syntax="proto3")
    file.dependency.append("google/protobuf/struct.proto")
    message = file.message_type.add(name="JSONPatch")
    for number, name in enumerate(("op", "path", "from"), 1):
        message.field.add(name=name, number=number, type=_STRING, label=1)
    message.field.add(name="value", number=4, type=_MESSAGE, label=1, type_name=".google.protobuf.Value")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    names = ("object", "variables")
    return cel.NewEnv(pool, variables=dict.fromkeys(names, cel.Type.DYN))


@cache
def _compiled(expression: str) -> Any:
    return _environment().compile(expression)


def evaluate(expression: str, **variables: object) -> Any:
    """The plain value of an expression."""
    return _compiled(expression).eval(data=variables).plain_value()


def selects(binding: Manifest, pod: Manifest) -> bool:
    """Whether the binding is about the pod, by namespace and labels."""
    resources = binding["spec"]["matchResources"]
    namespace = {"kubernetes.io/metadata.name": pod["metadata"]["namespace"]}
    labels = pod["metadata"].get("labels", {})
    wanted = [
        (resources["namespaceSelector"]["matchLabels"], namespace),
        (resources["objectSelector"]["matchLabels"], labels),
    ]
    return all(there.get(key) == value for selector, there in wanted for key, value in selector.items())


def admitted(policy: Manifest, pod: Manifest) -> Manifest:
    """The pod after the policy."""
    spec = policy["spec"]
    if not all(evaluate(each["expression"], object=pod) for each in spec["matchConditions"]):
        return pod
    for mutation in spec["mutations"]:
        assert mutation["patchType"] == "JSONPatch"
        variables = {each["name"]: evaluate(each["expression"], object=pod) for each in spec["variables"]}
        for patch in evaluate(mutation["jsonPatch"]["expression"], object=pod, variables=variables):
            pod = _patched(pod, json_format.MessageToDict(patch))
    return pod


def refusals(policy: Manifest, pod: Manifest) -> list[str]:
    """The messages with which a ValidatingAdmissionPolicy refuses the pod."""
    spec = policy["spec"]
    if not all(evaluate(each["expression"], object=pod) for each in spec.get("matchConditions", [])):
        return []
    return [each["message"] for each in spec["validations"] if not evaluate(each["expression"], object=pod)]


def _patched(document: Manifest, patch: Manifest) -> Manifest:
    """RFC 6902's `add`, which is all the policy uses."""
    assert patch["op"] == "add"
    document = deepcopy(document)
    *parents, last = patch["path"].split("/")[1:]
    place = document
    for each in parents:
        place = place[each]
    value = _whole_numbers(patch["value"])
    if isinstance(place, list):
        place.insert(len(place) if last == "-" else int(last), value)
    else:
        place[last] = value
    return document


def _whole_numbers(value: Any) -> Any:
    """JSON has one kind of number; the API server's decoder makes integers of those that are whole."""
    return json.loads(json.dumps(value), parse_float=_number)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 1 << 63 else number
