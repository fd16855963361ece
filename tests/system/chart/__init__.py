"""The chart: rendered by real Helm, judged by the schemas of Kubernetes and by real CEL."""

import sys

# jsonschema, when it is imported, lets this build 38 grammars for the formats `iri` and `iri-reference`, which no
# schema here has. That takes every process of the tests 1.4 s of CPU.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
