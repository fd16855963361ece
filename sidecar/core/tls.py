"""How a TLS server is verified, and which certificate we present to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths; the files are read when a connection is made, so rotated ones are used."""

    ca_file: str = ""
    """"" for the system's authorities."""
    certificate_file: str = ""
    key_file: str = ""
    """"" if the key is in `certificate_file`."""

    @property
    def files(self) -> tuple[str, ...]:
        """Return the configured paths."""
        return tuple(filter(None, (self.ca_file, self.certificate_file, self.key_file)))


def no_passphrase() -> str:
    """Return no passphrase to OpenSSL, which else prompts on a terminal while the event loop waits."""
    return ""
