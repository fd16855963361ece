"""What a command's exit code says."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 69
EXIT_BUG = 70
EXIT_CONFIGURATION = 78
EXIT_INTERRUPTED = 130

MEANINGS = {
    EXIT_OK: "success",
    EXIT_FAILED: "failure",
    EXIT_USAGE: "wrong usage",
    EXIT_UNREACHABLE: "cannot listen or connect",
    EXIT_BUG: "a bug",
    EXIT_CONFIGURATION: "the configuration cannot be used",
    EXIT_INTERRUPTED: "interrupted",
}
