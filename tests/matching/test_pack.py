# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from decnet_ttp.matching import RuleInvalidError, RulePack, explain
from decnet_ttp.v1 import event_pb2, rule_pb2
from matching.builders import Condition, command, every, field, no, request, rule, some


def fires(condition: Condition, event: event_pb2.Event) -> bool:
    return bool(RulePack.compile([rule("R", condition, event.source_kind)]).evaluate(event))


@pytest.mark.parametrize(
    ("condition", "text", "expected"),
    [
        (field("command_text", pattern=r"\bid\b"), "a id b", True),
        (field("command_text", pattern="ID"), "id", False),
        (field("command_text", pattern="ID", ignore_case=True), "id", True),
        (field("command_text", contains=["a.c", "x"]), "abc", False),
        (field("command_text", contains=["a.c", "x"]), "1a.c2", True),
        (field("command_text", contains=["WGET"], ignore_case=True), "/bin/wget", True),
        (field("command_text", equals=["id"]), "id ", False),
        (field("command_text", equals=["w", "id"]), "id", True),
        (field("command_text", in_set=["ID"], ignore_case=True), "id", True),
        (no(field("command_text", pattern="x")), "abc", True),
        (no(field("command_text", pattern="x")), "axc", False),
        (every(field("command_text", pattern="a"), no(field("user", equals=["root"]))), "a", True),
        (
            some(field("command_text", pattern="z"), field("command_text", contains=["b"])),
            "b",
            True,
        ),
        (
            some(field("command_text", pattern="z"), field("command_text", contains=["c"])),
            "b",
            False,
        ),
        (no(no(field("command_text", pattern="a"))), "a", True),
        (field("user", "command_text", equals=["id"]), "id", True),
        (field("no_such_field", pattern="a"), "a", False),
    ],
)
def test_condition_on_a_command(condition: Condition, text: str, *, expected: bool) -> None:
    assert fires(condition, command(text)) is expected


def test_negation_holds_on_an_absent_field_and_its_test_does_not() -> None:
    assert fires(no(field("user", pattern="root")), command("id"))
    assert not fires(field("user", pattern="root"), command("id"))


def test_numbers_compare_and_equal_as_people_write_them() -> None:
    event = request(status=404)
    assert fires(field("status", compare=rule_pb2.NumericComparison(gte=400, lt=500)), event)
    assert not fires(field("status", compare=rule_pb2.NumericComparison(gt=404)), event)
    assert fires(field("status", equals=["404"]), event)
    assert not fires(field("status", pattern="404"), event)


def test_absent_number_fails_every_comparison_but_zero_that_was_sent_does_not() -> None:
    absent = event_pb2.Event(source_kind="auth_attempt")
    absent.auth_attempt.service = "ssh"
    below_one = field("fail_count", compare=rule_pb2.NumericComparison(lt=1))
    assert not fires(below_one, absent)
    absent.auth_attempt.fail_count = 0
    assert fires(below_one, absent)


def test_booleans_are_told_from_absence() -> None:
    event = command("x")
    assert not fires(field("success", is_bool=False), event)
    event.command.success = False
    assert fires(field("success", is_bool=False), event)
    assert not fires(field("success", is_bool=True), event)


def test_cidr_takes_both_families_and_ignores_what_is_no_address() -> None:
    inside = field("extra.ip", cidr=["198.51.100.0/24", "2001:db8::/32"])
    for address, expected in [
        ("198.51.100.200", True),
        ("198.51.101.1", False),
        ("::ffff:198.51.100.1", True),
        ("2001:db8:1::1", True),
        ("no address", False),
    ]:
        event = command("x")
        event.extra["ip"] = address
        assert fires(inside, event) is expected


def test_maps_lists_and_dotted_names_are_reached() -> None:
    event = request(headers={"X-Api": "one", "User-Agent": "two"})
    assert fires(field("headers", equals=["two"]), event)
    assert fires(field("headers.user-agent", equals=["two"]), event)
    assert not fires(field("headers.user-agent", equals=["one"]), event)
    event.extra.update({"geo": {"country": "NL"}, "ports": [22, 23.5], "a.b": "dot"})
    assert fires(field("geo.country", equals=["NL"]), event)
    assert fires(field("extra.geo.country", equals=["NL"]), event)
    assert fires(field("extra.ports", in_set=["22"]), event)
    assert fires(field("a.b", equals=["dot"]), event)
    assert not fires(field("geo.country.x", pattern="."), event)


def test_unknown_kind_is_read_from_its_struct() -> None:
    event = event_pb2.Event(source_kind="sip_register")
    event.other.update({"method": "REGISTER", "via": {"host": "h"}})
    assert fires(field("method", equals=["REGISTER"]), event)
    assert fires(field("via.host", equals=["h"]), event)


def test_payload_of_another_kind_than_claimed_counts_as_absent() -> None:
    event = command("id")
    event.source_kind = "http_request"
    assert not fires(field("raw_url", pattern="."), event)


def test_rules_fire_in_order_of_their_ids_with_spans_in_characters() -> None:
    pack = RulePack.compile(
        [
            rule("R2", field("command_text", pattern=r"w\w+")),
            rule("R1", field("command_text", contains=["é"])),
            rule("R3", field("command_text", equals=["other"])),
        ]
    )
    matches = pack.evaluate(command("é wget x"))
    assert [match.rule.rule_id for match in matches] == ["R1", "R2"]
    (span,) = matches[1].spans()
    assert (span.field, span.start, span.end, span.text) == ("command_text", 2, 6, "wget")
    assert span.label == r"w\w+"


def test_long_tokens_are_cut_at_256_characters() -> None:
    pack = RulePack.compile([rule("R", field("command_text", pattern="a+é*"))])
    (match,) = pack.evaluate(command("a" * 200 + "é" * 900))
    (span,) = match.spans()
    assert len(span.text) == 256
    assert span.end == 1100


def test_text_beyond_one_mebi_of_characters_is_not_searched() -> None:
    pack = RulePack.compile([rule("R", field("command_text", pattern="needle"))])
    assert pack.evaluate(command(" " * (2**20 - 6) + "needle"))
    assert not pack.evaluate(command(" " * (2**20 - 5) + "needle"))


@pytest.mark.parametrize(
    "condition",
    [
        Condition(),
        every(),
        field("command_text", pattern="("),
        field("command_text", pattern="a*"),
        field("command_text", pattern=r"(?:a[\pL\pN]{250}){2}"),
        field("command_text", pattern=r"(a)\1"),
        field("command_text", cidr=["198.51.100.0/99"]),
        field("command_text", contains=[]),
        field(pattern="a"),
    ],
)
def test_rule_that_cannot_be_compiled_is_refused_by_name(condition: Condition) -> None:
    with pytest.raises(RuleInvalidError, match="rule R7: "):
        RulePack.compile([rule("R7", condition)])


def test_nesting_beyond_16_is_refused() -> None:
    condition = field("command_text", pattern="a")
    for _ in range(15):
        condition = no(condition)
    RulePack.compile([rule("R", condition)])
    with pytest.raises(RuleInvalidError, match="deeper than 16"):
        RulePack.compile([rule("R", no(condition))])


def test_same_id_twice_is_refused() -> None:
    one = rule("R", field("command_text", pattern="a"))
    with pytest.raises(RuleInvalidError, match="taken twice"):
        RulePack.compile([one, one])


def test_recompiling_takes_over_what_did_not_change() -> None:
    rules = [rule(f"R{n}", field("command_text", pattern=f"w{n}x")) for n in range(1500)]
    before = RulePack.compile(rules)
    rules[7] = rule("R7", field("command_text", pattern="new"))
    after = RulePack.compile(rules, before)
    assert all(
        after.rules[f"R{n}"].tree is before.rules[f"R{n}"].tree for n in range(1500) if n != 7
    )
    assert [m.rule.rule_id for m in after.evaluate(command("w8x new"))] == ["R7", "R8"]
    assert [m.rule.rule_id for m in before.evaluate(command("w7x new"))] == ["R7"]
    assert [m.rule.rule_id for m in after.evaluate(command("w7x"))] == []


def test_changed_kinds_and_state_take_effect_without_a_changed_condition() -> None:
    one = rule("R", field("command_text", pattern="a"))
    before = RulePack.compile([one])
    other = rule("R", field("command_text", pattern="a"), "session")
    after = RulePack.compile([other], before)
    assert after.source_kinds == {"session"}
    assert not after.evaluate(command("a"))


def test_explain_names_each_condition_with_its_span() -> None:
    condition = every(
        field("command_text", pattern="get"),
        some(field("user", equals=["root"]), no(field("src", contains=["tmp"]))),
    )
    event = command("wget")
    event.command.src = "/srv/tmp"
    matched, outcomes = explain(rule("R", condition), event)
    assert not matched
    assert [tuple(outcome) for outcome in outcomes] == [
        ("all[0].pattern", "command_text", True, 1, 4),
        ("all[1].any[0].equals", "user", False, None, None),
        ("all[1].any[1].not.contains", "src", True, 5, 8),
    ]
