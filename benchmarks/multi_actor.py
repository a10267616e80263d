# SPDX-License-Identifier: AGPL-3.0-or-later
"""How well the suspicion of several people tells them from one: precision and recall, simulated.

Three kinds of identities in equal numbers: one person; two people who take turns and differ in
half of their habits; one person who changes half of the habits midway. Each session gives one
observation per primitive; with some probability a session shows another value than the habit.

Usage: multi_actor.py [PLOT.svg]
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from decnet_ttp.attribution.mergers import MULTI_ACTOR_CONFIDENCE, WINDOW, depth, merge
from decnet_ttp.attribution.states import Kind, Sample, State
from decnet_ttp.attribution.suspicion import MIN_PRIMITIVES
from decnet_ttp.attribution.turns import suspicion_confidence

IDENTITIES = 150
SESSIONS = 40
PRIMITIVES = 12
DIFFERENT = 6
VALUES = 3
MARKS = (4, 5, 6, 8, 10, 15, 20, 30, 40)
NOISES = (0.05, 0.10, 0.25)
KINDS = ("one person", "two people", "one person, new tools")
COLOURS = {"any": "#8a8f98", "sure": "#c0392b"}
LABELS = {"any": "any suspicion", "sure": "confidence 0.6"}
DASHES = {"precision": "none", "recall": "5 4"}
WIDTH, HEIGHT, LEFT, TOP, GAP = 230, 200, 45, 40, 30


@dataclass(frozen=True)
class Score:
    """How the suspicion did after a number of sessions."""

    sessions: int
    precision: dict[str, float]
    recall: dict[str, float]


def sessions_of(kind: str, rng: random.Random, noise: float) -> list[list[str]]:
    """Return the values of every session of one identity."""
    first = [rng.randrange(VALUES) for _ in range(PRIMITIVES)]
    second = list(first)
    for place in rng.sample(range(PRIMITIVES), DIFFERENT):
        second[place] = (first[place] + rng.randrange(1, VALUES)) % VALUES
    sessions = []
    for place in range(SESSIONS):
        if kind == "two people":
            habits = rng.choice((first, second))
        elif kind == "one person, new tools" and place >= SESSIONS // 2:
            habits = second
        else:
            habits = first
        sessions.append(
            [
                str((value + rng.randrange(1, VALUES)) % VALUES)
                if rng.random() < noise
                else str(value)
                for value in habits
            ]
        )
    return sessions


def confidence_after(sessions: list[list[str]], count: int) -> float:
    """Return the confidence of the suspicion after some sessions; 0 when there is none."""
    windows = []
    for primitive in range(PRIMITIVES):
        places = range(max(0, count - depth(Kind.CATEGORICAL)), count)
        samples = [Sample(at, UUID(int=at), sessions[at][primitive]) for at in places]
        if merge(Kind.CATEGORICAL, samples).state is State.MULTI_ACTOR:
            windows.append({str(sample.at): sample.value for sample in samples[-WINDOW:]})
    return suspicion_confidence(windows) if len(windows) >= MIN_PRIMITIVES else 0.0


def scores(noise: float) -> list[Score]:
    """Count who has been suspected by each mark, at all and with full confidence."""
    rng = random.Random(7)
    highest: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        for _ in range(IDENTITIES):
            sessions = sessions_of(kind, rng, noise)
            reached = [0.0]
            for count in range(1, SESSIONS + 1):
                reached.append(max(reached[-1], confidence_after(sessions, count)))
            highest[kind].append(reached)
    found = []
    for mark in MARKS:
        precision, recall = {}, {}
        for name, least in (("any", 0.01), ("sure", MULTI_ACTOR_CONFIDENCE)):
            hits = {
                kind: sum(reached[mark] >= least for reached in rows)
                for kind, rows in highest.items()
            }
            told = sum(hits.values())
            precision[name] = hits["two people"] / told if told else 1.0
            recall[name] = hits["two people"] / IDENTITIES
        found.append(Score(mark, precision, recall))
    return found


def _panel(x0: int, noise: float, rows: list[Score]) -> list[str]:
    parts = [f'<text x="{x0}" y="{TOP - 14}">{noise:.0%} of values off the habit</text>']
    for tenth in range(0, 11, 2):
        y = TOP + HEIGHT * (1 - tenth / 10)
        parts.append(
            f'<path d="M{x0} {y:.1f}H{x0 + WIDTH}" stroke="#ddd"/>'
            f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>'
        )
    for mark in (5, 10, 20, 30, 40):
        x = x0 + WIDTH * mark / SESSIONS
        parts.append(
            f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{mark}</text>'
        )
    parts.append(
        f'<text x="{x0 + WIDTH / 2:.1f}" y="{TOP + HEIGHT + 38}" text-anchor="middle">'
        "sessions observed</text>"
    )
    for name, colour in COLOURS.items():
        for series, dash in DASHES.items():
            points = " ".join(
                f"{x0 + WIDTH * row.sessions / SESSIONS:.1f},"
                f"{TOP + HEIGHT * (1 - getattr(row, series)[name]):.1f}"
                for row in rows
            )
            parts.append(_line(points, colour, dash))
    return parts


def _line(points: str, colour: str, dash: str) -> str:
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"'
        f' stroke-dasharray="{dash}"/>'
    )


def plot(by_noise: dict[float, list[Score]]) -> str:
    """Draw precision (solid) and recall (dashed) by number of sessions, a panel per noise."""
    total, high = LEFT + len(by_noise) * (WIDTH + GAP), TOP + HEIGHT + 80
    parts = [
        "<!-- SPDX-License-Identifier: AGPL-3.0-or-later -->",
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {high}" width="{total}" '
            f'height="{high}" font-family="sans-serif" font-size="12" role="img">'
        ),
        "<title>Precision falls and recall rises with the number of sessions</title>",
        f'<rect width="{total}" height="{high}" fill="white"/>',
    ]
    for place, (noise, rows) in enumerate(by_noise.items()):
        parts += _panel(LEFT + place * (WIDTH + GAP), noise, rows)
    x, y = LEFT, TOP + HEIGHT + 68
    for name, colour in COLOURS.items():
        for series, dash in DASHES.items():
            parts.append(_line(f"{x},{y - 4} {x + 30},{y - 4}", colour, dash))
            parts.append(f'<text x="{x + 36}" y="{y}">{series}, {LABELS[name]}</text>')
            x += 195
    return "\n".join([*parts, "</svg>", ""])


def main(arguments: list[str]) -> None:
    """Print a table per noise, and draw them."""
    by_noise = {noise: scores(noise) for noise in NOISES}
    print("| off the habit | sessions | precision | recall | precision at 0.6 | recall at 0.6 |")
    print("|---|---|---|---|---|---|")
    for noise, rows in by_noise.items():
        for row in rows:
            figures = (
                *(row.precision["any"], row.recall["any"]),
                *(row.precision["sure"], row.recall["sure"]),
            )
            cells = " | ".join(f"{figure:.2f}" for figure in figures)
            print(f"| {noise:.0%} | {row.sessions} | {cells} |")
    if arguments:
        Path(arguments[0]).write_text(plot(by_noise), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
