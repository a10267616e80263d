# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which input a subject is, by its tokens."""

from __future__ import annotations

from typing import Final

from decnet_ttp.ingest.inputs.campaigns import (
    CAMPAIGN_MEMBERS,
    CAMPAIGN_MERGED,
    CAMPAIGN_UNMERGED,
)
from decnet_ttp.ingest.inputs.canaries import CANARY_TRIGGERED
from decnet_ttp.ingest.inputs.credentials import REUSE_DETECTED
from decnet_ttp.ingest.inputs.fingerprints import FINGERPRINTED
from decnet_ttp.ingest.inputs.identities import (
    IDENTITY_FORMED,
    IDENTITY_MERGED,
    IDENTITY_UNMERGED,
    OBSERVATION_LINKED,
)
from decnet_ttp.ingest.inputs.intel import INTEL_ENRICHED
from decnet_ttp.ingest.inputs.mail import EMAIL_RECEIVED
from decnet_ttp.ingest.inputs.reading import Input
from decnet_ttp.ingest.inputs.sessions import OBSERVED, SESSION_ENDED

#: Subject, where "*" stands for any one token, and how its messages are read.
INPUTS: Final[dict[str, Input]] = {
    "attacker.session.ended": SESSION_ENDED,
    "attacker.observed": OBSERVED,
    "attacker.intel.enriched": INTEL_ENRICHED,
    "attacker.fingerprinted": FINGERPRINTED,
    "identity.formed": IDENTITY_FORMED,
    "identity.observation.linked": OBSERVATION_LINKED,
    "identity.merged": IDENTITY_MERGED,
    "identity.unmerged": IDENTITY_UNMERGED,
    "identity.campaign.assigned": CAMPAIGN_MEMBERS,
    "campaign.formed": CAMPAIGN_MEMBERS,
    "campaign.assigned": CAMPAIGN_MEMBERS,
    "campaign.identity.assigned": CAMPAIGN_MEMBERS,
    "campaign.merged": CAMPAIGN_MERGED,
    "campaign.unmerged": CAMPAIGN_UNMERGED,
    "credential.reuse.detected": REUSE_DETECTED,
    "email.received": EMAIL_RECEIVED,
    "canary.*.triggered": CANARY_TRIGGERED,
}

#: What ingest consumes. Everything else stays in the stream for whoever reads it later.
SUBJECTS: Final = tuple(INPUTS)

_PATTERNS = [(subject.split("."), found) for subject, found in INPUTS.items() if "*" in subject]


def input_for(subject: str) -> Input | None:
    """Return how the messages of a subject are read, or None when they are not for ingest."""
    exact = INPUTS.get(subject)
    if exact is not None:
        return exact
    tokens = subject.split(".")
    for pattern, found in _PATTERNS:
        if len(pattern) == len(tokens) and all(
            wanted in {"*", token} for wanted, token in zip(pattern, tokens, strict=True)
        ):
            return found
    return None
