"""The reference has every field of `/status`."""

from collections.abc import Iterator, Mapping

from tests.support.programs.pages import status_api
from tests.support.sidecar import Start
from tests.support.upstream import Upstream, refusal


def paths(value: object, path: str = "") -> Iterator[str]:
    """Every field of a JSON document by its path."""
    if isinstance(value, Mapping) and not path.endswith((".fields", ".errors_by")):
        for name, member in value.items():
            yield from paths(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield from paths(value[0], f"{path}[]")
    else:
        yield path


async def test_every_field_of_the_status_has_a_meaning(sidecar: Start, upstream: Upstream) -> None:
    """And no other field is listed. A route that fails is a finding."""
    upstream.script(refusal(b"", 503))
    async with sidecar() as running:
        await running.get()
        shown = sorted(paths(await running.status()))
    assert sorted(status_api.fields()) == shown
    assert [path for path, meaning in status_api.fields().items() if not meaning] == []
