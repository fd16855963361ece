"""Requests and limits that Kubernetes takes, and others that it refuses: all parts of the project must agree."""

TAKEN: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"memory": "64Mi"}, {"memory": "64Mi"}),
    ({"cpu": "500m"}, {"cpu": "0.5"}),
    ({"cpu": "0.1"}, {"cpu": "100m"}),
    ({"memory": "1G"}, {"memory": "1Gi"}),
    ({"memory": "1e3"}, {"memory": "1k"}),
    ({"memory": "1023Mi"}, {"memory": "1Gi"}),
    ({"memory": "1E"}, {"memory": "1Ei"}),
    ({"cpu": "3"}, {"memory": "1Mi"}),
    ({}, {"cpu": "1", "ephemeral-storage": "1Gi"}),
    ({"cpu": ".5"}, {"cpu": "5."}),
    ({"example.com/device": "1"}, {"example.com/device": "1000m"}),
    ({}, {"example.com/device": "2"}),
]
"""Requests, limits."""
REFUSED: list[tuple[dict[str, str], dict[str, str], str]] = [
    (
        {"memory": "1Gi"},
        {"memory": "512Mi"},
        "memory: the request 1Gi exceeds the limit 512Mi; raise the limit",
    ),
    ({"cpu": "1"}, {"cpu": "500m"}, "cpu: the request 1 exceeds the limit 500m; raise the limit"),
    ({"cpu": "101m"}, {"cpu": "0.1"}, "cpu: the request 101m exceeds the limit 0.1; raise the limit"),
    ({"memory": "1Gi"}, {"memory": "1G"}, "memory: the request 1Gi exceeds the limit 1G; raise the limit"),
    ({"memory": "1e9"}, {"memory": "1M"}, "memory: the request 1e9 exceeds the limit 1M; raise the limit"),
    (
        {"ephemeral-storage": "2k", "cpu": "1"},
        {"ephemeral-storage": "1999", "cpu": "1"},
        "ephemeral-storage: the request 2k exceeds the limit 1999; raise the limit",
    ),
    ({"example.com/device": "1"}, {}, "example.com/device: the request 1 requires the same limit; set it"),
    (
        {"example.com/device": "1"},
        {"example.com/device": "2"},
        "example.com/device: the request 1 differs from the limit 2; set the same",
    ),
    (
        {},
        {"example.com/device": "0.5"},
        "example.com/device: 0.5 is not a whole number; write a whole number",
    ),
]
"""Requests, limits, the message."""
