# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is wrong with a rule file, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One fault of one file.

    Attributes:
        path: The file, as the caller named it.
        line: Line, counted from 1.
        column: Column, counted from 1.
        message: What is wrong and what is allowed, on one line.
    """

    path: str
    line: int
    column: int
    message: str

    @property
    def location(self) -> str:
        """``file:line:column``, the form that editors jump to."""
        return f"{self.path}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


def summary(problems: tuple[Problem, ...]) -> str:
    """Return the first problem in full and the number of further ones, on one line."""
    first = str(problems[0])
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"
