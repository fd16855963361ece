"""The words that the fields of events, and labels of metrics, take. Their docstrings explain the words one by one."""

from typing import Literal

Level = Literal["debug", "info", "warning", "error"]
Signal = Literal["metrics", "traces"]
"""What is exported."""
Outcome = Literal["healed", "refused", "failed"]
"""`healed`: the second send was accepted. `refused`: it was refused too. `failed`: there was no new token, or no
response."""
BustStep = Literal["publish", "record"]
"""`publish`: Redis did not publish the bust, so it holds in this pod only. `record`: Redis published it but did not
record it, so pods that are not connected miss it."""
BustKind = Literal["token", "credentials", "select", "gap"]
"""`token`: one token. `credentials`: credentials from a secret store. `select`: all tokens that carry the labels.
`gap`: tokens found to be revoked after messages were missed."""
Rejection = Literal["too_large", "malformed", "unknown", "channel", "unsigned", "forged", "old", "replayed"]
"""`too_large`: above the limit. `malformed`: unreadable. `unknown`: a version or kind that this release does not
know. `channel`: from a channel that is not configured, or made for another one. `unsigned`: without a signature.
`forged`: with a wrong signature. `old`: older than one received before, or more than 5 minutes off Redis's clock.
`replayed`: received before."""
FetchFault = Literal["refused", "unavailable", "bad_subject"]
"""`refused`: the authorization server refused the request. `unavailable`: it did not answer, or with an error of
its own. `bad_subject`: a caller's token is not accepted."""
SecretFault = Literal["missing", "denied", "malformed", "throttled", "unreachable", "unconfigured"]
"""`missing`: no such secret or version. `denied`: AWS denies reading or decrypting it. `malformed`: not the
expected JSON. `throttled`: too many requests. `unreachable`: no answer within 6 s, or an error of AWS.
`unconfigured`: no region, or no AWS credentials."""
