# SPDX-License-Identifier: AGPL-3.0-or-later
"""decnet-ttp: deception telemetry to ATT&CK techniques, with evidence, exactly once."""


def program_version() -> str:
    """Return the version of the installed program."""
    # The package metadata costs 30 ms to read, which only --version and DescribeTagger need.
    from importlib.metadata import version  # noqa: PLC0415 - see above

    return version("decnet-ttp")
