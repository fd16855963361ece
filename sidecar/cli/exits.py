"""Exit codes of the commands."""

EXIT_OK = 0
"""The command succeeded, or `run` stopped after SIGTERM or Ctrl-C."""
EXIT_FAILED = 1
"""The command failed: a step of `check`, a scene of the demo, or a file or manifest that cannot be written.
`explain`: the request would be refused. `status` and `bust`: the admin server refused, or is not ready. `status` with
`--tenant` or `--service`: there is no such token."""
EXIT_USAGE = 2
"""The command line has an unknown command, flag or value. The usage of the command is printed."""
EXIT_UNREACHABLE = 69
"""The address to listen on is in use or not local. Or the admin server is unreachable. Or a limit of the system is
too low, such as that of open files."""
EXIT_BUG = 70
"""The sidecar has a bug. Please report the printed lines."""
EXIT_CONFIGURATION = 78
"""The configuration is invalid. Every fault is printed."""
EXIT_INTERRUPTED = 130
"""Ctrl-C ended the command before it was up."""

MEANINGS = {
    EXIT_OK: "success",
    EXIT_FAILED: "failure",
    EXIT_USAGE: "wrong usage",
    EXIT_UNREACHABLE: "cannot listen or connect",
    EXIT_BUG: "a bug",
    EXIT_CONFIGURATION: "the configuration cannot be used",
    EXIT_INTERRUPTED: "interrupted",
}
"""The same in two or three words, for `--help`."""
