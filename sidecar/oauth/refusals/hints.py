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
    "invalid_scope": "check scope: the client may have fewer scopes than it requests",
    "invalid_target": "check resource and audience",
    "unauthorized_client": "allow the client this grant at the authorization server",
    "unsupported_grant_type": "check grant, and that token_endpoint is one",
    "access_denied": "at the authorization server, allow what the client requests",
}
_NEVER_OBTAINED = (
    "no token was ever obtained for this entry, so the configuration counts as the cause: allow the client this grant "
    "at the authorization server, and check {keys}audience and parameters"
)
_USED = "jti_known"
_ONCE = (
    "the assertion in {file} is sent with every token request until the file changes, and some servers accept it only "
    "once: allow its reuse at the server (Keycloak: supportsClientAssertionReuse of the identity provider), or use "
    "private_key_jwt"
)
_AUDIENCE = (
    "aud of the assertion is the issuer, and some servers (Ory Hydra) accept only their token endpoint: set "
    "assertion_audience to its URL"
)


def hint(request: TokenRequest, refusal: TokenRefused, *, proven: bool, skew: float | None) -> str:
    """Return the remedy, "" if the refusal's own text names it. `skew`: how far the server's clock is ahead."""
    clocks = clock_skew.hint(skew) if clock_skew.matters(request, refusal.description) else ""
    return "; ".join(part for part in (clocks, _of_code(request, refusal, proven=proven)) if part)


def _of_code(request: TokenRequest, refusal: TokenRefused, *, proven: bool) -> str:
    assertions = _of_assertions(request, refusal)
    if refusal.code == "invalid_client":
        return "; ".join(filter(None, (_CLIENT[request.client_auth], assertions)))
    if is_of_configuration(request, refusal, proven=proven):
        exchange = request.grant == "token_exchange"
        return _NEVER_OBTAINED.format(keys="subject.type, requested_token_type, " if exchange else "")
    return assertions or _HINTS.get(refusal.code, "")


def _of_assertions(request: TokenRequest, refusal: TokenRefused) -> str:
    """Return known objections of servers to assertions that are correct by the RFC, if they may be the cause."""
    of_client = request.client_auth if refusal.code in {"invalid_client", _USED} else ""
    if of_client == "client_assertion_file":
        return _ONCE.format(file=request.assertion_file)
    granted = request.assertion if refusal.code == "invalid_grant" else None
    signed = of_client == "private_key_jwt" or granted is not None
    own_audience = request.assertion_audience or (granted is not None and granted.audience)
    if signed and request.issuer and not own_audience:
        return _AUDIENCE
    return ""
