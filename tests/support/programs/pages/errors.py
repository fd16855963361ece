"""The page of the answers that the sidecar gives itself, from the table that it answers by."""

import json

from sidecar.core import problem
from sidecar.core.problem import FAILED, INTERNAL, REFUSED, Grpc
from tests.support.programs.pages.markdown import block, code, page, prose, table

INTRODUCTION = prose(
    """The sidecar answers itself if it cannot relay a request. Such an answer is `application/problem+json`
    (RFC 9457) and has the field `Proxy-Status: sidecar; error=…` (RFC 9209). An error without that field comes from
    the upstream.""",
    """`error` in the body is one of the words below. The access log has it as `error` too, and metrics as
    `error_type`. `detail` describes this error in words, `instance` is the request's id.""",
    """A gRPC client gets HTTP status 200 without a body, with `grpc-status` from the column gRPC and `detail` as
    `grpc-message`.""",
)
SERVER = prose(
    """The admin server answers errors in the same form, without `error`.""",
)


def text() -> str:
    """Return the page."""
    words = sorted((*REFUSED.values(), *FAILED.values(), INTERNAL))
    rows = [
        (
            str(each.status),
            code(each.word),
            each.meaning,
            each.action,
            code(each.proxy_error),
            f"{each.grpc.value} {each.grpc.name}" if each.grpc is not Grpc.UNKNOWN else "",
        )
        for each in words
    ]
    example = problem.details(404, detail="no route matches /orders", instance="5f3c-1", error="no_route")
    body = json.dumps({"type": "about:blank", **example}, indent=2)
    return page(
        "Errors",
        "`sidecar/core/problem.py`",
        INTRODUCTION,
        block("json", body),
        table(("Status", "`error`", "Meaning", "Action", "`Proxy-Status`", "gRPC"), rows),
        SERVER,
    )
