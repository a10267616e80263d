# SPDX-License-Identifier: AGPL-3.0-or-later
"""decnet-ttp: deception telemetry to ATT&CK techniques, with evidence, exactly once."""

from importlib.metadata import version

__version__ = version("decnet-ttp")
