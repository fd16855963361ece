"""What is kept of a request's body, and that every byte of the budget comes back."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused, SidecarError
from sidecar.http1.connection import Connection
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.limits import ServerLimits
from sidecar.http1.request_body import REPLAY_LIMIT, ReplayBudget, Upload
from sidecar.http1.server import ClientConnection
from sidecar.http1.shared.listener import Listener
from tests.support.clock import FakeClock

BUDGET = 2 * REPLAY_LIMIT


class Client(asyncio.Transport):
    """The transport below a client's connection: it notes whether the connection reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = True
        self.connection = Listener(never, Deadlines(FakeClock()), ServerLimits()).connection()
        self.connection.transport = self

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def never(_: ClientConnection) -> None:
    """No client is served."""


class Taker:
    """Takes whatever it is given."""

    source: Connection | None = None
    write_paused = False

    def __init__(self) -> None:
        self.body = b""
        self.trailers: list[bytes] | None = None
        self.error: SidecarError | None = None

    def write_body(self, pieces: list[bytes]) -> None:
        self.body += b"".join(pieces)

    def end_body(self, trailers: list[bytes]) -> None:
        self.trailers = trailers

    def break_body(self, error: SidecarError) -> None:
        self.error = error


def left(budget: ReplayBudget) -> int:
    """How many bytes could be taken now."""
    low, high = 0, 2 * BUDGET
    while low < high:
        middle = (low + high + 1) // 2
        if budget.take(middle):
            budget.give_back(middle)
            low = middle
        else:
            high = middle - 1
    return low


def upload_of(client: Client, budget: ReplayBudget) -> Upload:
    return Upload(client.connection, budget)


STEPS = st.lists(
    st.one_of(st.integers(0, 3 * REPLAY_LIMIT // 2), st.sampled_from(["hold", "aim", "end", "other"])),
    max_size=12,
)


@given(STEPS)
async def test_a_body_is_sent_whole_or_not_again_and_the_budget_comes_back(steps: list[int | str]) -> None:
    """Whatever the order of content, refusals and others' needs: a target gets all of it from the first byte."""
    client, budget, target = Client(), ReplayBudget(BUDGET), Taker()
    upload, sent, others = upload_of(client, budget), b"", 0
    upload.aim(target)
    held = False
    for step in steps:
        if step == "other":
            others += REPLAY_LIMIT if budget.take(REPLAY_LIMIT) else 0
        elif step == "hold" and not held:
            held = True
            if not upload.hold():
                break  # the refusal is the answer
        elif step == "aim" and held:
            held, target = False, Taker()
            upload.aim(target)
            assert target.body == sent
        elif step == "end" and not upload.ended:
            upload.end_body([b"A: 1"])
        elif isinstance(step, int) and client.reading and not upload.ended:
            piece = bytes([65 + len(sent) % 26]) * step
            sent += piece
            upload.write_body([piece])
        if not held:
            assert target.body == sent
            assert target.trailers == ([b"A: 1"] if upload.ended else None)
    assert upload.bytes_in == len(sent)
    upload.detach()
    upload.release()
    assert left(budget) == BUDGET - others
    upload.release()
    assert left(budget) == BUDGET - others


async def test_a_small_body_can_be_sent_again_and_a_large_one_cannot() -> None:
    """Up to the limit, to the byte."""
    for size, again in ((REPLAY_LIMIT, True), (REPLAY_LIMIT + 1, False)):
        upload = upload_of(Client(), ReplayBudget())
        upload.aim(Taker())
        upload.write_body([b"a" * (size - 1)])
        assert upload.replayable
        upload.write_body([b"a"])
        assert upload.replayable is again


async def test_a_body_larger_than_the_limit_pauses_the_client_while_nobody_takes_it() -> None:
    """Giving up the copy would lose what is about to be needed."""
    client, second = Client(), Taker()
    upload = upload_of(client, ReplayBudget())
    upload.aim(Taker())
    assert upload.hold()
    upload.write_body([b"a" * (REPLAY_LIMIT + 1)])
    assert (client.reading, upload.write_paused, upload.replayable) == (False, True, True)
    upload.aim(second)
    assert (client.reading, len(second.body)) == (True, REPLAY_LIMIT + 1)


async def test_without_a_share_of_the_budget_nothing_can_be_sent_again() -> None:
    """The body streams on all the same."""
    budget, target = ReplayBudget(10), Taker()
    upload = upload_of(Client(), budget)
    upload.aim(target)
    upload.write_body([b"a" * 10])
    assert upload.replayable
    upload.write_body([b"b"])
    assert not upload.replayable
    assert (target.body, left(budget)) == (b"a" * 10 + b"b", 10)
    assert not upload.hold()


async def test_a_body_that_broke_off_cannot_be_sent_again() -> None:
    """Whoever takes it is told; nobody else is."""
    first, error = Taker(), RequestRefused(400, "broken off")
    upload = upload_of(Client(), ReplayBudget())
    upload.aim(first)
    upload.write_body([b"a"])
    upload.break_body(error)
    assert first.error is upload.error is error
    assert not upload.replayable
