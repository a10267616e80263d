# SPDX-License-Identifier: AGPL-3.0-or-later
"""Certificates of a private authority, as settings name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from decnet_ttp.runtime.config import Settings


@dataclass(frozen=True)
class Certificates:
    """Files of one authority and of the peers it vouches for; `stranger` is of another one."""

    folder: Path

    def settings(self, peer: str | None, listen: str = "127.0.0.1:0") -> Settings:
        """Settings that trust the authority and are `peer`, or nobody."""
        return Settings(
            listen=listen,
            tls_ca=self.folder / "ca.pem",
            tls_cert=self.folder / f"{peer}.pem" if peer else None,
            tls_key=self.folder / f"{peer}.key" if peer else None,
        )
