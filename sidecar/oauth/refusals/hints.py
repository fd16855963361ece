"""What operators can do about a refused token request, without any I/O."""

from sidecar.core.errors import TokenRefused
from sidecar.oauth.refusals import clock_skew
from sidecar.oauth.refusals.causes import is_of_configuration
from sidecar.oauth.token import ClientAuth, TokenRequest

_CLIENT: dict[ClientAuth, str] = {
    "client_secret_basic": "check client id, client secret and client_auth",
    "client_secret_post": "check client id, client secret and client_auth",
    "private_key_jwt": "check client id, private_key (the server must know its public key, kid and algorithm) "
    "and assertion_audience",
    "client_assertion_file": "check client id, and the issuer, subject and audience of the assertion in assertion_file",
    "tls_client_auth": "check client id, and that the server knows the certificate in tls.certificate",
    "none": "check client id and client_auth: the server may require authentication",
}
_HINTS = {
    "invalid_grant": "check subject, actor or assertion: issuer, audience and expiry",
    "invalid_request": "check what else the server requires: parameters, audience, resource",
    "invalid_scope": "check scope: the client may have less than it asks for",
    "invalid_target": "check resource and audience",
    "unauthorized_client": "allow the client this grant at the authorization server",
    "unsupported_grant_type": "check grant, and that token_endpoint is one",
    "access_denied": "allow the client what it asks for at the authorization server",
}
_EXCHANGE = (
    "no token was ever obtained for this entry, so the configuration counts as the cause: allow the client this grant "
    "at the authorization server, and check subject.type, requested_token_type, audience and parameters"
)


def hint(request: TokenRequest, refusal: TokenRefused, *, proven: bool, skew: float | None) -> str:
    """Return what to do, "" where the refusal's own text says so. `skew`: how far the server's clock is ahead."""
    clocks = clock_skew.hint(skew) if clock_skew.matters(request, refusal.description) else ""
    return "; ".join(part for part in (clocks, _of_code(request, refusal, proven=proven)) if part)


def _of_code(request: TokenRequest, refusal: TokenRefused, *, proven: bool) -> str:
    if refusal.code == "invalid_client":
        return _CLIENT[request.client_auth]
    if is_of_configuration(request, refusal, proven=proven):
        return _EXCHANGE
    return _HINTS.get(refusal.code, "")
