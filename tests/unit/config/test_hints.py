"""The name that was probably meant, however many names there are."""

import pytest

from sidecar.config.hints import misspelt, unknown_entry

MANY = [f"ledger-service-{number:04d}" for number in range(3000)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ledgr-service-0007", "ledger-service-0007"),
        ("ledger-service-0200x", "ledger-service-0200"),
        ("ledger-serivce-0999", "ledger-service-0999"),
        ("Ledger-Service-1500", "ledger-service-1500"),
        ("ledger-service_2999", "ledger-service-2999"),
        ("payments", ""),
        ("x" * 65, ""),
    ],
)
def test_each_of_many_names_can_be_meant(written: str, meant: str) -> None:
    """Not only one of the first two hundred of the file."""
    assert misspelt(written, MANY) == meant


def test_a_name_with_an_ending_more_is_meant() -> None:
    """As in `orders-token` for `orders`."""
    assert misspelt("ledger_token", ["orders", "ledger"]) == ""
    assert unknown_entry("orders-tok", ["orders", "ledger"]) == (
        "there is no such entry; did you mean orders?"
    )
