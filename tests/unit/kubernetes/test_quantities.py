"""Requests and limits as Kubernetes compares them."""

import re
from fractions import Fraction

import pytest

from sidecar.kubernetes.container import Blanks, fill
from sidecar.kubernetes.quantities import QUANTITY, amount, faults
from tests.support.quantities import REFUSED, TAKEN


@pytest.mark.parametrize(("requests", "limits"), TAKEN)
def test_c6_what_kubernetes_takes_has_no_fault(requests: dict[str, str], limits: dict[str, str]) -> None:
    """Whatever the unit."""
    assert list(faults({"requests": requests, "limits": limits})) == []


@pytest.mark.parametrize(("requests", "limits", "message"), REFUSED)
def test_c6_what_kubernetes_refuses_is_named(
    requests: dict[str, str], limits: dict[str, str], message: str
) -> None:
    """Before it is in a manifest."""
    resources = {"requests": requests, "limits": limits}
    assert list(faults(resources)) == [message]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fill(Blanks("c", resources=resources))


@pytest.mark.parametrize("name", ["cpus", "mem", "hugepages", "hugepages-2", "Example.com/a", "/a", "a/", ""])
def test_c6_an_unknown_resource_is_named(name: str) -> None:
    """Such as one that is misspelled."""
    [fault] = faults({"limits": {name: "1"}})
    assert fault.startswith(
        f"{name}: containers have no such resource; write cpu, memory, ephemeral-storage, "
    )
    assert list(faults({"requests": {"hugepages-2Mi": "4Mi"}, "limits": {"hugepages-2Mi": "4Mi"}})) == []


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("1n", Fraction(1, 10**9)), ("2u", Fraction(2, 10**6)), ("3m", Fraction(3, 1000)), ("4", 4), ("5k", 5000),
        ("6M", 6 * 10**6), ("7G", 7 * 10**9), ("8T", 8 * 10**12), ("9P", 9 * 10**15), ("1E", 10**18),
        ("1Ki", 1 << 10), ("1Mi", 1 << 20), ("1Gi", 1 << 30), ("1Ti", 1 << 40), ("1Pi", 1 << 50), ("1Ei", 1 << 60),
        ("1.5Gi", 3 << 29), (".5", Fraction(1, 2)), ("5.", 5), ("1e3", 1000), ("1E3", 1000),
        ("1E-3", Fraction(1, 1000)), ("1e+2", 100),
    ],
)  # fmt: skip
def test_c6_a_quantity_is_a_number(quantity: str, number: Fraction | int) -> None:
    """In each form that Kubernetes knows."""
    assert re.fullmatch(QUANTITY, quantity)
    assert amount(quantity) == number


@pytest.mark.parametrize(
    "text", ["", "64Mb", "1e", "1e100", "1 Gi", "-1", "+1", "1KI", "i", ".", "1,5", "0x1", "1mi"]
)
def test_c6_other_forms_are_none(text: str) -> None:
    """A sign, too, is refused: the amounts of a container are not negative."""
    assert re.fullmatch(QUANTITY, text) is None


@pytest.mark.parametrize("name", ["runAsUsr", "runasuser", "fsGroup", "seccomp", ""])
def test_c6_an_unknown_field_of_the_security_context_is_named(name: str) -> None:
    """Also one that only pods have."""
    with pytest.raises(
        ValueError, match=f"^security context: containers have no field {name}; correct its name$"
    ):
        fill(Blanks("c", security_context={name: None}))
