# SPDX-License-Identifier: AGPL-3.0-or-later
"""Why a server cannot be reached, out of what the gRPC library says of its last attempt."""

from __future__ import annotations

from typing import Final

from decnet_ttp.runtime.config import Settings

#: What the library's text holds -> reason; the first that fits. It has no codes for these.
_REASONS: Final = (
    ("certificate has expired", "CERTIFICATE_EXPIRED"),
    ("certificate is not yet valid", "CERTIFICATE_NOT_YET_VALID"),
    ("CERTIFICATE_VERIFY_FAILED", "CERTIFICATE_OF_ANOTHER_AUTHORITY"),
    ("Hostname Verification Check failed", "CERTIFICATE_OF_ANOTHER_NAME"),
    ("WRONG_VERSION_NUMBER", "NO_TLS_THERE"),
    ("address lookup failed", "NAME_UNKNOWN"),
    ("Socket closed", "CONNECTION_CLOSED"),
)

#: Reason -> what and the cure, for people.
_TEXTS: Final = {
    "CERTIFICATE_EXPIRED": "its certificate has expired; have its operator renew it",
    "CERTIFICATE_NOT_YET_VALID": (
        "its certificate is not valid yet; compare the clocks of both hosts"
    ),
    "CERTIFICATE_OF_ANOTHER_AUTHORITY": (
        "its certificate is of another authority than DECNET_TTP_TLS_CA; name the ca.pem of that "
        "installation"
    ),
    "CERTIFICATE_OF_ANOTHER_NAME": (
        "its certificate names other hosts; use a name that it carries, or have its operator "
        "make one for this name"
    ),
    "NO_TLS_THERE": "nothing there speaks TLS; correct the port, or unset DECNET_TTP_TLS_CA",
    "NAME_UNKNOWN": "its name has no address; correct it, or ask the name server's operator",
}


def unreached_reason(details: str) -> str | None:
    """Return the reason within what the library says of a failed call; None when it says none."""
    return next((reason for text, reason in _REASONS if text in details), None)


def needs_operator(reason: str) -> bool:
    """Whether no waiting ends what a reason says."""
    return reason in _TEXTS and reason != "NAME_UNKNOWN"


def explain_unreached(reason: str, settings: Settings) -> str | None:
    """Return what a reason means and what to do about it.

    Args:
        reason: As `unreached_reason` returns it.
        settings: Those of the client; a server that ends a connection does not say why, but what
            the client lacks does.

    Returns:
        What, why and cure without the end of a sentence; None where there is nothing to add.
    """
    if reason != "CONNECTION_CLOSED":
        return _TEXTS.get(reason)
    if settings.tls_ca is None:
        return "it ends a connection without TLS; set DECNET_TTP_TLS_CA to its ca.pem"
    if settings.tls_cert is None:
        return (
            "it ends a connection without a client's certificate; use its port for tokens, or set "
            "DECNET_TTP_TLS_CERT and DECNET_TTP_TLS_KEY"
        )
    return (
        "it ends the connection; DECNET_TTP_TLS_CERT may have expired or be of another authority "
        "than its own"
    )
