# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluation of rules on events: the one matcher of taggers, rule tests and `rules eval`.

`RulePack.compile(rules)` makes a pack, `pack.evaluate(event)` gives the rules that fire.
"""

from decnet_ttp.matching.derived import DERIVED_FIELDS, DerivedField
from decnet_ttp.matching.errors import RuleInvalidError
from decnet_ttp.matching.evaluator import Match, Span
from decnet_ttp.matching.explain import Outcome, explain
from decnet_ttp.matching.fields import EXTRA_PREFIX
from decnet_ttp.matching.pack import CompiledRule, RulePack, check
from decnet_ttp.matching.session_timelines import SessionTimelines, StepMet, TimelineResult
from decnet_ttp.matching.step_runs import StepTaken
from decnet_ttp.matching.timeline import PART_KINDS, StepOf, kinds_read

__all__ = [
    "DERIVED_FIELDS",
    "EXTRA_PREFIX",
    "PART_KINDS",
    "CompiledRule",
    "DerivedField",
    "Match",
    "Outcome",
    "RuleInvalidError",
    "RulePack",
    "SessionTimelines",
    "Span",
    "StepMet",
    "StepOf",
    "StepTaken",
    "TimelineResult",
    "check",
    "explain",
    "kinds_read",
]
