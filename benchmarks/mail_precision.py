# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the mail rules do on wanted and unwanted mail, whole mails through importer and tagger."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks import precision
from decnet_ttp.attack import load_catalogue
from decnet_ttp.ingest.payloads import fill
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.sources.eml import EmlSource
from decnet_ttp.tagger.artifacts import Artifacts
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifter import Lifter
from decnet_ttp.tagger.lifters.email import EmailLifter
from decnet_ttp.tagger.messages import Messages
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, scope_pb2, tagger_service_pb2

ANCHOR = scope_pb2.Anchor(attacker_uuid="6f9619ff-8b86-5d01-b42d-00cf4fc964ff")

#: Mails a person wants have this in the name of their folder.
WANTED = "ham"


@dataclass
class MailStack:
    """Importer and tagger over one artifacts root."""

    folder: Path
    rules: RuleSet
    evaluation: Evaluation

    async def tags(self, path: Path) -> dict[str, float]:
        """Return the rules that fire on a mail, each with its highest confidence.

        Raises:
            RuntimeError: A rule failed, or the mail was not read.
        """
        source = EmlSource(decky="mail", attacker_ip="203.0.113.9", artifacts=self.folder)
        request = tagger_service_pb2.TagEventsRequest()
        for sent in source.read([str(path)]):
            event = event_pb2.Event(source_id=sent.id)
            fill(event, "email", orjson.loads(sent.payload), frozenset())
            request.groups.add(origin_id=sent.id, anchor=ANCHOR, decky_id="mail", events=[event])
        answer = await self.evaluation.tag(request, self.rules)
        if answer.failures or answer.unread_messages:
            raise RuntimeError(f"{path.name}: not tagged whole")
        found: dict[str, float] = {}
        for tag in (tag for group in answer.groups for tag in group.tags):
            found[tag.rule_id] = max(found.get(tag.rule_id, 0.0), tag.confidence)
        return found


@contextmanager
def mail_stack(folder: Path) -> Iterator[MailStack]:
    """Give a stack with the shipped mail rules.

    Args:
        folder: Where mails are stored while they are read.
    """
    catalogue = load_catalogue()
    loaded = load_pack([precision.ROOT / "rules"], Vocabulary(catalogue), with_examples=False)
    lifters: list[Lifter] = [EmailLifter()]
    rules = RuleSet.empty().changed([each.message for each in loaded.rules], (), lifters, catalogue)
    with Messages(Artifacts(folder, max_bytes=2**25)) as messages:
        yield MailStack(folder, rules, Evaluation(lifters, attack_release="r", messages=messages))


@dataclass(frozen=True, slots=True)
class Mails:
    """What the rules did on a folder.

    Attributes:
        count: Mails in it.
        fired: Mails on which each rule fired.
        tagged: Mails on which any did.
    """

    count: int
    fired: Mapping[str, int]
    tagged: int


async def look(stack: MailStack, shared: Path) -> dict[str, Mails]:
    """Return what the rules do on each folder of mails, by its name.

    Args:
        stack: Importer and tagger.
        shared: The folder of real inputs.
    """
    seen = {}
    for folder in sorted((shared / "data" / "mail").iterdir()):
        paths = sorted(folder.glob("*.eml"))
        tags = [await stack.tags(path) for path in paths]
        fired = Counter(rule_id for own in tags for rule_id in own)
        seen[folder.name] = Mails(len(paths), fired, sum(bool(own) for own in tags))
    return seen


def report(shared: Path) -> None:
    """Print the table.

    Args:
        shared: The folder of real inputs.
    """
    with tempfile.TemporaryDirectory() as folder, mail_stack(Path(folder)) as stack:
        seen = asyncio.run(look(stack, shared))
    rules = sorted({rule_id for own in seen.values() for rule_id in own.fired})
    wanted = {name: own for name, own in seen.items() if WANTED in name}
    count = sum(own.count for own in wanted.values())
    print(f"| mails | {' | '.join(seen)} | of wanted | 95 % |")
    print("|---|" + "---|" * (len(seen) + 2))
    print(f"| all | {' | '.join(str(own.count) for own in seen.values())} | {count} | |")
    rows = [(rule, {name: own.fired.get(rule, 0) for name, own in seen.items()}) for rule in rules]
    for rule, fired in [*rows, ("any rule", {name: own.tagged for name, own in seen.items()})]:
        false = sum(fired[name] for name in wanted)
        high = precision.wilson(false, count)[1]
        print(
            f"| {rule} | {' | '.join(map(str, fired.values()))} | {100 * false / count:.1f} % | "
            f"at most {100 * high:.1f} % |"
        )
