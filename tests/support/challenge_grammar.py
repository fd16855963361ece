"""A second reader of challenges, which knows the grammar of RFC 9110 section 11.6.1 and nothing else; and a writer."""

import re

from sidecar.proxy.challenge import Challenge

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = rb'"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)"'
PARAMETER = rb"(%b)[ \t]*=[ \t]*(?:(%b)|%b)" % (TOKEN, TOKEN, QUOTED)
TOKEN68 = rb"[A-Za-z0-9._~+/-]+=*"
CHALLENGE = rb"(%b)(?:[ \t]+(?:(%b)|%b)?)?" % (TOKEN, TOKEN68, PARAMETER)
COMMAS = rb"[ \t]*(?:,[ \t]*)+"


def by_the_grammar(value: bytes) -> tuple[Challenge, ...] | None:
    """Read the elements of a list, each a challenge or one more parameter; return None for any other field."""
    found: list[Challenge] = []
    at, end = 0, len(value)
    if lead := re.match(COMMAS, value):
        at = lead.end()
    while at < end:
        stop = rb"(?=%b|[ \t]*\Z)" % COMMAS
        parameter = re.compile(PARAMETER + stop).match(value, at) if found else None
        if parameter is None:
            challenge = re.compile(CHALLENGE + stop).match(value, at)
            if challenge is None:
                return None
            scheme, token68, *rest = challenge.groups()
            found.append(Challenge(scheme.decode().lower(), {}, (token68 or b"").decode()))
            at = challenge.end()
        else:
            rest = list(parameter.groups())
            at = parameter.end()
        name, plain, quoted = rest
        if name is not None:
            text = plain if plain is not None else re.sub(rb"\\(.)", rb"\1", quoted)
            params, key = found[-1].params, name.decode().lower()
            params[key] = params.get(key) or text.decode("latin-1")
        commas = re.compile(COMMAS + rb"|[ \t]*\Z").match(value, at)
        assert commas is not None
        at = commas.end()
    return tuple(found)


ERRORS = ("insufficient_scope", "insufficient_user_authentication", "invalid_request")
"""Those of rule 6."""


def excepted(challenge: Challenge) -> bool:
    """Return whether one of the exceptions of rule 1 applies."""
    scheme, token68 = challenge.scheme.replace("-", "_"), challenge.token68.lower()
    return "'" in scheme or any(error in scheme for error in ERRORS) or token68 == "bearer"


def written(challenge: Challenge) -> str:
    """Return the challenge by the grammar, every value in quotes."""
    params = challenge.params.items()
    return f"{challenge.scheme} " + ", ".join(f"{name}={_quoted(text)}" for name, text in params)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
