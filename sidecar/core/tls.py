"""How a TLS server is verified, and how we present ourselves to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths; the files are read when a connection is made, so rotated ones count."""

    ca_file: str = ""
    """"" trusts the system's authorities."""
    certificate_file: str = ""
    key_file: str = ""
    """"" where the key is in `certificate_file`."""

    @property
    def files(self) -> tuple[str, ...]:
        """The paths there are."""
        return tuple(filter(None, (self.ca_file, self.certificate_file, self.key_file)))


def no_passphrase() -> str:
    """Answer OpenSSL, which else asks a terminal for an encrypted key's passphrase while the event loop waits."""
    return ""
