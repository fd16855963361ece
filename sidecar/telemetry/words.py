"""The words that the fields of events, and labels of metrics, take."""

from typing import Literal

Level = Literal["debug", "info", "warning", "error"]
Build = Literal["pure", "compiled"]
"""Whether the request path is Python or native code."""
Signal = Literal["metrics", "traces"]
"""What can be exported."""
Outcome = Literal["healed", "refused", "failed"]
"""Of a second send: accepted, refused too, or there was none or no answer to it."""
BustStep = Literal["publish", "record"]
"""What Redis did not do for a bust: send it to the pods, or keep it for those that are not connected."""
BustKind = Literal["token", "credentials", "select", "gap"]
"""What was dropped: one token, credentials, all that carry a label, or what had died while no message came."""
Rejection = Literal["too_large", "malformed", "unknown", "channel", "unsigned", "forged", "old", "replayed"]
"""Why a message may not bust anything."""
FetchFault = Literal["refused", "unavailable", "bad_subject"]
"""Why a fetch gave no token: the authorization server refused, is unavailable, or does not accept a caller's token."""
SecretFault = Literal["missing", "denied", "malformed", "throttled", "unreachable", "unconfigured"]
"""Why a secret gave no credentials."""
