# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tactics that ATT&CK has had, Enterprise's in the order of its matrix.

Tactic ids outlive releases, so this table serves two needs: the MISP galaxy names
tactics only by short name, and a rule written for a newer release may name a tactic
that the loaded one does not have yet, which is not the same as a misspelt one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class PublishedTactic(NamedTuple):
    """One tactic as MITRE publishes it; ``uuid`` is the end of its STIX id."""

    id: str
    short_name: str
    name: str
    uuid: str


ENTERPRISE_TACTICS: Final = (
    PublishedTactic(
        "TA0043", "reconnaissance", "Reconnaissance", "daa4cbb1-b4f4-4723-a824-7f1efd6e0592"
    ),
    PublishedTactic(
        "TA0042",
        "resource-development",
        "Resource Development",
        "d679bca2-e57d-4935-8650-8031c87a4400",
    ),
    PublishedTactic(
        "TA0001", "initial-access", "Initial Access", "ffd5bcee-6e16-4dd2-8eca-7b3beedf33ca"
    ),
    PublishedTactic("TA0002", "execution", "Execution", "4ca45d45-df4d-4613-8980-bac22d278fa5"),
    PublishedTactic("TA0003", "persistence", "Persistence", "5bc1d813-693e-4823-9961-abf9af4b0e92"),
    PublishedTactic(
        "TA0004",
        "privilege-escalation",
        "Privilege Escalation",
        "5e29b093-294e-49e9-a803-dab3d73b77dd",
    ),
    PublishedTactic(
        "TA0005", "defense-evasion", "Defense Evasion", "78b23412-0651-46d7-a540-170a1ce8bd5a"
    ),
    PublishedTactic(
        "TA0006", "credential-access", "Credential Access", "2558fd61-8c75-4730-94c4-11926db2a263"
    ),
    PublishedTactic("TA0007", "discovery", "Discovery", "c17c5845-175e-4421-9713-829d0573dbc9"),
    PublishedTactic(
        "TA0008", "lateral-movement", "Lateral Movement", "7141578b-e50b-4dcc-bfa4-08a8dd689e9e"
    ),
    PublishedTactic("TA0009", "collection", "Collection", "d108ce10-2419-4cf9-a774-46161d6c6cfe"),
    PublishedTactic(
        "TA0011",
        "command-and-control",
        "Command and Control",
        "f72804c5-f15a-449e-a5da-2eecd181f813",
    ),
    PublishedTactic(
        "TA0010", "exfiltration", "Exfiltration", "9a4e74ab-5008-408c-84bf-a10dfbc53462"
    ),
    PublishedTactic("TA0040", "impact", "Impact", "5569339b-94c2-49ee-afb3-2222936582c8"),
)
"""Enterprise ATT&CK 8 to 18. Release 19 renamed TA0005 to Stealth and added TA0112."""

ENTERPRISE_DOMAIN: Final = "enterprise-attack"
ICS_DOMAIN: Final = "ics-attack"

DOMAIN_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {ENTERPRISE_DOMAIN: "Enterprise ATT&CK", ICS_DOMAIN: "ATT&CK for ICS"}
)
"""The domains that a catalogue may be of, as MITRE calls their matrices."""

PUBLISHED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        ENTERPRISE_DOMAIN: frozenset(
            each for tactic in ENTERPRISE_TACTICS for each in (tactic.id, tactic.short_name)
        )
        | {"TA0112", "stealth", "defense-impairment"},
        ICS_DOMAIN: frozenset(f"TA{number:04}" for number in range(100, 112)),
    }
)
"""Every tactic id and short name that some release of a domain has used."""
