"""OpenTelemetry's variables: what they turn on, and what becomes of those that make no sense."""

from collections.abc import Mapping

import pytest

from sidecar.telemetry.otel_env import Batches, read_otel

ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "signals"),
    [
        ({}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, set()),
        (ON, {"metrics", "traces"}),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, {"metrics"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, {"traces"}),
        ({**ON, "OTEL_SDK_DISABLED": "TRUE"}, set()),
        ({**ON, "OTEL_SDK_DISABLED": "no"}, {"metrics", "traces"}),
        ({**ON, "OTEL_METRICS_EXPORTER": "none"}, {"traces"}),
        ({**ON, "OTEL_TRACES_EXPORTER": "none"}, {"metrics"}),
        ({**ON, "OTEL_TRACES_EXPORTER": "otlp"}, {"metrics", "traces"}),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, set()),
    ],
)
def test_what_is_exported(environ: Mapping[str, str], signals: set[str]) -> None:
    """What has an endpoint, unless it was turned off."""
    settings = read_otel(environ)
    assert settings.signals == signals
    assert settings.ignored == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1000000000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "9" * 5000),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "long"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "br"),
        ("OTEL_BSP_SCHEDULE_DELAY", "\u0663"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_and_the_default_taken(name: str, value: str) -> None:
    """A variable set for a whole platform must keep no sidecar from starting."""
    settings = read_otel({**ON, name: value})
    assert {ignored.variable for ignored in settings.ignored} == {name}
    usual = read_otel(ON)
    assert (settings.interval, settings.batches) == (usual.interval, usual.batches)


@pytest.mark.parametrize("argument", ["", "0.25", "1", "2", "-0.1", "nan", "some"])
def test_a_share_is_a_number_from_0_to_1(argument: str) -> None:
    """Else all traces are sampled, as without one."""
    settings = read_otel({**ON, "OTEL_TRACES_SAMPLER": "TraceIdRatio", "OTEL_TRACES_SAMPLER_ARG": argument})
    good = argument in ("", "0.25", "1")
    assert [ignored.variable for ignored in settings.ignored] == ([] if good else ["OTEL_TRACES_SAMPLER_ARG"])
    in_a_quarter, beyond = 1, (1 << 64) - 1
    assert settings.sampler.samples(in_a_quarter, None)
    assert settings.sampler.samples(beyond, None) == (argument != "0.25")


def test_a_share_means_nothing_to_other_samplers() -> None:
    """Neither used nor complained about."""
    settings = read_otel({**ON, "OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_SAMPLER_ARG": "0"})
    assert settings.sampler.samples((1 << 64) - 1, None)
    assert settings.ignored == ()


def test_how_often_and_how_much() -> None:
    """Milliseconds become seconds; a batch is never larger than the queue."""
    settings = read_otel(
        {
            "OTEL_METRIC_EXPORT_INTERVAL": "1500",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100",
            "OTEL_BSP_SCHEDULE_DELAY": " 20 ",
        }
    )
    assert settings.interval == 1.5
    assert settings.batches == Batches(queue=100, size=100, delay_ms=20)


def test_nobody_is_bothered_with_variables_of_something_that_is_off() -> None:
    """Without an endpoint none of them is looked at."""
    assert read_otel({"OTEL_TRACES_SAMPLER": "xray", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}).ignored == ()
