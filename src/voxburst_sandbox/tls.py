"""A certificate of the sandbox's own authority, for clients that speak nothing but https."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Certificate", "make_certificate"]

_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two files: `authority` is what clients are to trust, `server` the certificate with its private key."""

    authority: Path
    server: Path

    def client_context(self) -> ssl.SSLContext:
        """Return the settings of a client that trusts this sandbox and nobody else."""
        return ssl.create_default_context(cafile=self.authority)


def make_certificate(folder: Path) -> Certificate:
    """Return the certificate in a folder, made if there is none; the authority's own key is never written.

    Parameters
    ----------
    folder : Path
        Where ``sandbox-ca.pem`` and ``sandbox-server.pem`` (readable by this user alone) lie.

    Raises
    ------
    OSError
        If the library that makes certificates is not installed, or the folder can't be written.
    """
    made = Certificate(folder / "sandbox-ca.pem", folder / "sandbox-server.pem")
    if made.authority.exists() and made.server.exists():
        return made
    try:
        import trustme  # an optional package: only this option needs it
    except ImportError as error:
        raise OSError("certificates need the package trustme: pip install 'voxops[tls]'") from error
    authority = trustme.CA(organization_name="voxops sandbox")
    issued = authority.issue_cert(*_NAMES)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made.authority.write_bytes(authority.cert_pem.bytes())
    with os.fdopen(os.open(made.server, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(issued.private_key_and_cert_chain_pem.bytes())
    return made
