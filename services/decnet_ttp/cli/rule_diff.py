# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules diff`: which tags a changed pack would add and remove, before it goes live."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from decnet_ttp.cli.connection import Connection, connection_options, run
from decnet_ttp.cli.output import Cell, json_option, print_json, print_line, print_table, printable
from decnet_ttp.cli.rule_eval import CORPUS_TYPE
from decnet_ttp.cli.rule_states import DURATION
from decnet_ttp.core.errors import FailedPreconditionError, UnavailableError

if TYPE_CHECKING:
    from decnet_ttp.cli.corpus import Row
    from decnet_ttp.cli.offline_tagger import OfflineTagger
    from decnet_ttp.v1.rule_pb2 import Rule
    from decnet_ttp.v1.tag_pb2 import TagDraft

_PACK: Final = click.Path(exists=True, path_type=Path)

#: Characters of an example that are kept.
_EXAMPLE_CHARS: Final = 200

#: A tag to this comparison: kind and id of its event, rule, tactic, technique, sub-technique.
_Key = tuple[str, str, str, str, str, str]


@dataclass
class Change:
    """What changes for one rule and technique.

    Attributes:
        added: Tags that only the new pack makes.
        removed: Tags that only the old pack makes.
        moved: Tags of both, with another confidence.
        examples: Some of them: what happens, id of the row, what matched.
    """

    added: int = 0
    removed: int = 0
    moved: int = 0
    examples: list[tuple[str, str, str]] = field(default_factory=list)


@click.command()
@click.argument("old", type=_PACK)
@click.argument("new", type=_PACK)
@click.option(
    "--corpus", "corpora", multiple=True, type=CORPUS_TYPE, help="Rows as `rules eval` reads them."
)
@click.option(
    "--since",
    type=DURATION,
    help="Run over what came in during the last 30m, 12h or 7d, read from the bus.",
)
@click.option("--trial", is_flag=True, help="Count experimental rules as if they were stable.")
@click.option(
    "--examples", default=3, show_default=True, type=click.IntRange(0, 1000), help="Examples each."
)
@json_option
@connection_options
def diff(
    connection: Connection,
    *,
    old: Path,
    new: Path,
    corpora: Sequence[Path],
    since: timedelta | None,
    trial: bool,
    examples: int,
    as_json: bool,
) -> None:
    """Show which tags a changed pack adds and removes, by rule and technique.

    OLD and NEW are rules directories, folders of rule files or single files. Ends with 0 when both
    give the same tags, with 1 when they do not.
    """
    from decnet_ttp.cli.offline_tagger import OfflineTagger, load_rules, rules_dir_of

    if bool(corpora) == (since is not None):
        raise click.UsageError("give either --corpus or --since")
    settings = connection.settings
    before, catalogue = load_rules(settings, old, all_sound=True)
    after, _ = load_rules(settings, new, all_sound=True)
    folders = [rules_dir_of(settings, path) for path in (old, new)]
    edited = _edited(before, after, same_data=_data(folders[0]) == _data(folders[1]))
    packs = [
        OfflineTagger(
            [_stable(rule) if trial else rule for rule in rules if rule.rule_id in edited],
            catalogue,
            folder,
        )
        for rules, folder in zip((before, after), folders, strict=True)
    ]
    found = Found(examples)
    if edited:
        rows = _from_bus(connection, since) if since is not None else _from_files(corpora)
        run(_compare(rows, packs, found))
    if as_json:
        print_json(found.as_json(edited))
    else:
        _print(found, edited)
    if found.changes:
        click.get_current_context().exit(1)


def _data(rules_dir: Path | None) -> dict[str, bytes]:
    """Return what lifters may read beside the rules: every other folder's files."""
    if rules_dir is None:
        return {}
    found = (path for path in rules_dir.glob("*/*.yaml") if path.parent.name != "ttp")
    return {str(path.relative_to(rules_dir)): path.read_bytes() for path in found}


def _edited(before: Sequence[Rule], after: Sequence[Rule], *, same_data: bool) -> list[str]:
    """Return the ids of rules that could give other tags; the others need no look.

    Args:
        before: The old rules.
        after: The new ones.
        same_data: Whether what lifters read beside their rules is the same.
    """

    def definition(rule: Rule) -> bytes:
        kept = type(rule)(applies_to=rule.applies_to, emissions=rule.emissions, status=rule.status)
        form = rule.WhichOneof("match")
        if form is not None:
            getattr(kept, form).CopyFrom(getattr(rule, form))
        return kept.SerializeToString(deterministic=True)

    old = {rule.rule_id: definition(rule) for rule in before}
    new = {rule.rule_id: definition(rule) for rule in after}
    edited = {each for each in old.keys() | new.keys() if old.get(each) != new.get(each)}
    if not same_data:
        edited |= {rule.rule_id for rule in after if rule.HasField("lifter_predicate")}
    return sorted(edited)


def _stable(rule: Rule) -> Rule:
    changed = type(rule)()
    changed.CopyFrom(rule)
    changed.ClearField("status")
    return changed


class Found:
    """What was found, row by row.

    Args:
        examples: Examples kept for each rule and technique.

    Attributes:
        rows: Rows compared.
        changes: By rule, tactic and deepest technique.
    """

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self.rows = 0
        self.changes: dict[tuple[str, str, str], Change] = {}

    def add(self, row_id: str, old: Sequence[TagDraft], new: Sequence[TagDraft]) -> None:
        """Compare what two packs gave for a row."""
        self.rows += 1
        before, after = _by_key(old), _by_key(new)
        for key, tag in after.items():
            if key not in before:
                change = self._change(key)
                change.added += 1
                self._keep(change, "added", row_id, tag)
            elif before[key].confidence != tag.confidence:
                change = self._change(key)
                change.moved += 1
                word = f"{before[key].confidence:.2f} to {tag.confidence:.2f}"
                self._keep(change, word, row_id, tag)
        for key, tag in before.items():
            if key not in after:
                change = self._change(key)
                change.removed += 1
                self._keep(change, "removed", row_id, tag)

    def _change(self, key: _Key) -> Change:
        _, _, rule_id, tactic, technique, sub = key
        return self.changes.setdefault((rule_id, tactic, sub or technique), Change())

    def _keep(self, change: Change, word: str, row_id: str, tag: TagDraft) -> None:
        same = sum(kept == word for kept, _, _ in change.examples)
        if same < self._examples:
            change.examples.append((word, row_id, _shown(tag)))

    def as_json(self, edited: Sequence[str]) -> dict[str, Any]:
        """Return everything, in order of rules and techniques."""
        return {
            "rows": self.rows,
            "rules_changed": list(edited),
            "added": sum(change.added for change in self.changes.values()),
            "removed": sum(change.removed for change in self.changes.values()),
            "confidence_changed": sum(change.moved for change in self.changes.values()),
            "changes": [
                {
                    "rule_id": rule_id,
                    "tactic": tactic,
                    "technique": technique,
                    "added": change.added,
                    "removed": change.removed,
                    "confidence_changed": change.moved,
                    "examples": [
                        {"change": word, "id": row_id, "text": text}
                        for word, row_id, text in change.examples
                    ],
                }
                for (rule_id, tactic, technique), change in sorted(self.changes.items())
            ],
        }


def _by_key(tags: Sequence[TagDraft]) -> dict[_Key, TagDraft]:
    # Without the version, which every edit raises: the same tag by a newer rule is no news.
    return {
        (
            tag.source_kind,
            tag.source_id,
            tag.rule_id,
            tag.tactic,
            tag.technique_id,
            tag.sub_technique_id,
        ): tag
        for tag in tags
    }


def _shown(tag: TagDraft) -> str:
    """Return what a tag is about, from its evidence, which holds no secrets."""
    evidence = tag.evidence
    match evidence.WhichOneof("evidence"):
        case "command":
            text = evidence.command.command_text
        case "http_request":
            text = f"{evidence.http_request.method} {evidence.http_request.raw_url}"
        case None:
            text = ""
        case kind:
            values = (value for _, value in getattr(evidence, kind).ListFields())
            text = " ".join(value for value in values if isinstance(value, str))
    return text[:_EXAMPLE_CHARS]


async def _from_files(paths: Sequence[Path]) -> AsyncIterator[list[Row]]:
    from decnet_ttp.cli.corpus import read_rows
    from decnet_ttp.cli.offline_tagger import in_batches

    for batch in in_batches(read_rows(paths)):
        yield batch


async def _from_bus(connection: Connection, since: timedelta) -> AsyncIterator[list[Row]]:
    """Yield the messages of the input stream since a while ago, up to now.

    Raises:
        UnavailableError: The bus cannot be read.
        FailedPreconditionError: It has no stream of events.
    """
    import nats.errors
    from nats.js.errors import NotFoundError

    from decnet_ttp.cli.corpus import Row
    from decnet_ttp.cli.history import history
    from decnet_ttp.cli.offline_tagger import BATCH_ROWS
    from decnet_ttp.cli.watch import open_bus

    settings = replace(connection.settings, nats_url=connection.nats_url)
    logging.getLogger("decnet_ttp").addHandler(logging.NullHandler())
    bus = await open_bus(settings, "rules diff")
    batch: list[Row] = []
    try:
        async for envelope in history(bus, since=datetime.now(UTC) - since):
            batch.append(Row(envelope.id, envelope.type, envelope.payload, topic=envelope.topic))
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
        yield batch
    except NotFoundError as error:
        raise FailedPreconditionError(
            "the bus has no stream of events; start the services, which make it"
        ) from error
    except (nats.errors.Error, TimeoutError) as error:
        raise UnavailableError(
            f"the bus gives no messages ({type(error).__name__}); see that it runs with JetStream"
        ) from error
    finally:
        await bus.leave()


async def _compare(
    batches: AsyncIterator[list[Row]], packs: Sequence[OfflineTagger], found: Found
) -> None:
    async for batch in batches:
        old, new = [list(await pack.tag(batch)) for pack in packs]
        for before, after in zip(old, new, strict=True):
            found.add(str(before.row.id), before.tags, after.tags)


def _print(found: Found, edited: Sequence[str]) -> None:
    click.echo(f"{found.rows:,} rows, changed rules: {', '.join(edited) or 'none'}", err=True)
    rows: list[list[str | Cell]] = [
        [
            Cell(rule_id, "bold"),
            Cell(technique, "cyan"),
            tactic,
            Cell(f"+{change.added}", "green" if change.added else "dim"),
            Cell(f"-{change.removed}", "red" if change.removed else "dim"),
            str(change.moved),
        ]
        for (rule_id, tactic, technique), change in sorted(found.changes.items())
    ]
    print_table(
        [
            ("rule", "fixed"),
            ("technique", "fixed"),
            ("tactic", "fixed"),
            ("added", "number"),
            ("removed", "number"),
            ("confidence changed", "number"),
        ],
        rows,
        empty="both give the same tags",
    )
    for (rule_id, _, technique), change in sorted(found.changes.items()):
        for word, row_id, text in change.examples:
            print_line(
                [
                    Cell(word, "red" if word == "removed" else "green"),
                    rule_id,
                    technique,
                    printable(row_id, 48),
                    printable(text, 120),
                ]
            )
