"""What follows a refusal of our token, whether the sidecar sent it or a program that was given it.

Each refusal is judged here, and reported. A refusal that the token caused is followed by one renewal, unless the key
cools down.
"""

import asyncio

from sidecar.cache.cooldown import CoolDowns
from sidecar.core.ports import Clock
from sidecar.http1.message import Response
from sidecar.oauth.token import Token, TokenRequest
from sidecar.proxy.challenge import Verdict
from sidecar.proxy.ports import Tokens
from sidecar.proxy.refusal import Refusal, may_refuse, read_refusal, refused_event
from sidecar.proxy.routes import Route
from sidecar.telemetry.events import CoolingDown, Resent
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.words import Decision, Outcome

_FIRST_WINDOW = 1.0
"""Seconds of the first window between renewals."""
_LATE_KEYS = 1000
"""Keys whose refusals after the head of an answer are dated."""


class Healing:
    """Judge refusals, and report them and their outcome."""

    def __init__(self, tokens: Tokens, journal: Journal, clock: Clock) -> None:
        self._tokens = tokens
        self._journal = journal
        self._clock = clock
        self._behind: set[asyncio.Task[Token]] = set()
        self._late = CoolDowns(_LATE_KEYS)

    def decide(
        self, said: Refusal, route: Route, refused: Token, record: RequestRecord, *, reporter: str = ""
    ) -> Decision:
        """Return what to do about an answer to a request with this token, and emit an event if it is a refusal.

        Take `reporter`, the program that reported the answer; "" if the sidecar got it.
        """
        wanted = route.token
        if said.verdict is Verdict.RELAY or wanted is None:
            self._relayed(said, route, refused, record, reporter=reporter)
            return "relay"
        decision: Decision = "cooling" if self._tokens.cooling(wanted, self._clock.now()) else "renew"
        self._journal.tell(refused_event(said, decision, route, refused, record, reporter=reporter))
        return decision

    def renew_behind(self, wanted: TokenRequest, refused: Token, sent_at: float) -> None:
        """Renew in the background for later requests; this one cannot be sent again."""
        renewal = asyncio.get_running_loop().create_task(self._tokens.renew(wanted, refused, sent_at))
        self._behind.add(renewal)
        renewal.add_done_callback(self._renewed)

    def refused_late(
        self, route: Route, refused: Token, answer: Response, sent_at: float, record: RequestRecord
    ) -> None:
        """Judge a refusal after the head of the answer was relayed, and renew in the background for later requests.

        Such renewals have windows as cool-downs have, because no second send shows whether the new token is accepted.
        Meanwhile a request that is refused before its answer heals by itself.
        """
        said = read_refusal(answer, route, 401)
        wanted = route.token
        if said.verdict is Verdict.RELAY or wanted is None:
            self._relayed(said, route, refused, record)
            return
        now = self._clock.now()
        held = self._tokens.peek(wanted, now)
        replaced = held is not None and held.secret != refused.secret
        window = 0.0 if replaced else self._late.refused(wanted.key, refused.fingerprint, now, 1.0)
        renews = window > 0
        decision: Decision = "renew" if renews or replaced or held is None else "cooling"
        self._journal.tell(refused_event(said, decision, route, refused, record))
        if renews:
            self.renew_behind(wanted, refused, sent_at)
        if window > _FIRST_WINDOW:  # the last renewal did not help
            self._journal.tell(CoolingDown(wanted.name, wanted.service, wanted.tenant, window))

    def judge_second(self, route: Route, token: Token, answer: Response, record: RequestRecord) -> None:
        """Report how the second send was answered; if it was refused too, the key cools down."""
        assert route.token is not None
        said = read_refusal(answer, route, answer.judged) if may_refuse(answer.judged, route) else None
        if said is not None and said.verdict is Verdict.RENEW:
            self._tokens.cool_down(route.token, token)
            self.second_send(route, token, record, "refused")
            return
        self._tokens.healed(route.token)  # where only the request was refused, the token is good
        self.second_send(route, token, record, "healed")
        if said is not None:
            self._relayed(said, route, token, record)

    def second_send(self, route: Route, token: Token, record: RequestRecord, outcome: Outcome) -> None:
        """Report the outcome of a second send."""
        self._journal.tell(Resent(record.request_id, route.name, token.fingerprint, outcome))

    def _relayed(
        self, said: Refusal, route: Route, token: Token, record: RequestRecord, *, reporter: str = ""
    ) -> None:
        if said.reported:
            self._journal.tell(refused_event(said, "relay", route, token, record, reporter=reporter))

    def _renewed(self, renewal: asyncio.Task[Token]) -> None:
        self._behind.discard(renewal)
        if not renewal.cancelled():
            renewal.exception()  # the failure was reported to the journal where it happened
