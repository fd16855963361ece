-- wrk's own figures as one line of JSON; latencies in microseconds.
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'figures {"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
