# SPDX-License-Identifier: AGPL-3.0-or-later
"""A command line taken apart into the simple commands that a shell would run.

It is a reading aid for rules, not a shell: nothing is expanded or evaluated. One pass over the
text, with a bound on what is looked at closely.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: Characters that are taken apart word by word. What follows is only split at separators, so that
#: a padded line is still searched, at a cost that does not grow with the padding.
MAX_CLOSE_CHARS: Final = 16 * 1024

#: Commands up to this length are remembered, since bots send the same ones again and again.
_SHORT_CHARS: Final = 256

#: Command strings within command strings (sh -c "sh -c …") that are followed.
_MAX_DEPTH: Final = 3

#: Runners before one command (sudo nohup env …) that are followed.
_MAX_RUNNERS: Final = 8

_TOKEN: Final = re.compile(
    r"""
      (?P<comment>(?<![^\s;&|(])\#[^\n]*)
    | (?P<word>[^\s'"\\$<>|&;()`]+)
    | (?P<space>[ \t]+)
    | (?P<redirect>(?:&>>?|<<<|<<-?|>>|>\||<>|[<>](?![(&]))[ \t]*|[<>]&)
    | (?P<operator>\|\|?&?|&&?|;+|[\n\r]+|\$\(|[<>]\(|[()`])
    | (?P<single>\$?'[^']*'?)
    | (?P<double>\$?"(?:[^"\\]|\\.)*"?)
    | (?P<ifs>\$\{IFS[^}\n]{0,16}\}|\$IFS(?:\$\d)?)
    | (?P<nothing>\$[@*](?=\w)|\\\r?\n)
    | (?P<escape>\\.?)
    | (?P<dollar>\$)
    """,
    re.VERBOSE | re.DOTALL,
)

#: What makes more of a text than the words of one simple command.
_SPECIAL: Final = re.compile(r"""['"\\$<>|&;()`#]|[^\S \t]""")

_SUBSTITUTION: Final = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")
_IN_DOUBLE: Final = re.compile(r"\\([$`\"\\\n])")
_BLANKS: Final = re.compile(r"\s+")

#: Directories whose programs are meant by their bare name.
_BIN: Final = re.compile(r"/(?:usr/(?:local/)?|opt/|system/)?s?x?bin/")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=")
_OPTION_C: Final = re.compile(r"-[A-Za-z]*c")

_DURATION: Final = re.compile(r"\d+(?:\.\d+)?[smhd]?")

_KEYWORDS: Final = frozenset({"{", "}", "!", "if", "then", "elif", "else", "while", "until", "do"})
#: Words that run the rest of their line, with their options that take an argument.
_RUNNERS: Final = {
    "sudo": frozenset({"-u", "-g", "-p", "-C", "-h", "-U", "-r", "-t", "-D", "-R", "-T"}),
    "doas": frozenset({"-u", "-C"}),
    "busybox": frozenset[str](),
    "nohup": frozenset[str](),
    "exec": frozenset({"-a"}),
    "env": frozenset({"-u", "-C", "-S"}),
    "command": frozenset[str](),
    "builtin": frozenset[str](),
    "time": frozenset({"-f", "-o"}),
    "nice": frozenset({"-n"}),
    "ionice": frozenset({"-c", "-n", "-p"}),
    "setsid": frozenset[str](),
    "stdbuf": frozenset({"-i", "-o", "-e"}),
    "timeout": frozenset({"-k", "-s"}),
    "xargs": frozenset({"-I", "-n", "-P", "-L", "-a", "-d", "-s", "-E"}),
    "eval": frozenset[str](),
}
#: Runners that matter themselves: their line is kept beside the line they run.
_KEPT: Final = frozenset({"sudo", "doas", "busybox", "xargs", "eval"})
_FIND_ACTIONS: Final = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_SHELLS: Final = frozenset(
    {
        "sh",
        "bash",
        "dash",
        "ash",
        "zsh",
        "ksh",
        "mksh",
        "csh",
        "tcsh",
        "fish",
        "su",
        "runuser",
        "$SHELL",
        "${SHELL}",
        "$BASH",
    }
)


@lru_cache(maxsize=4_096)
def _short_command_lines(text: str) -> str:
    return _command_lines(text)


def command_lines(text: str) -> str:
    """Return the simple commands of a command line, one a line, words joined by one blank.

    Separators (``; & | && ||``, newlines, parentheses, back-quotes, ``$(``) end a command unless
    quoted; quotes and backslashes are taken off (``w'g'et``), ``$IFS`` is a blank, comments are
    left out, a redirection is one word with its target (``>/etc/x``), a substitution is ``$()``
    with its commands as lines of their own. What only runs another
    command is left out (``nohup``, ``env A=b``, ``then``, ``/usr/bin/`` before a name); ``sudo``,
    ``busybox`` and ``xargs`` give a line with and a line without them. The string of ``sh -c``
    and what ``find -exec`` runs follow as lines of their own.
    """
    return _command_lines(text) if len(text) > _SHORT_CHARS else _short_command_lines(text)


def _command_lines(text: str) -> str:
    lines: list[str] = []
    _Reader(lines, 0).read(text[:MAX_CLOSE_CHARS])
    if len(text) > MAX_CLOSE_CHARS:
        lines.append(_split_coarsely(text[MAX_CLOSE_CHARS:]))
    return "\n".join(lines)


def _split_coarsely(text: str) -> str:
    for separator in ";&|`(":
        text = text.replace(separator + " ", "\n").replace(separator, "\n")
    return text


class _Reader:
    """Collects the simple commands of one text.

    Args:
        lines: Gets the commands.
        depth: How many command strings lead here.
    """

    __slots__ = ("_depth", "_inner", "_lines", "_open", "_word", "_words")

    def __init__(self, lines: list[str], depth: int) -> None:
        self._lines = lines
        self._depth = depth
        self._words: list[str] = []
        # Parts of the word that is being read; None between words, since a word may be empty.
        self._word: str | None = None
        self._inner: list[str] = []
        # Commands that wait for the end of a substitution, with what opened it.
        self._open: list[tuple[str, list[str], str | None]] = []

    def read(self, text: str) -> None:
        """Add the lines of a text."""
        if _SPECIAL.search(text) is None:
            words = text.split()
            if words:
                self.take_words(words)
            return
        position, end = 0, len(text)
        match, take = _TOKEN.match, self._take
        while position < end:
            token = match(text, position)
            if token is None:  # a blank of another kind, such as a form feed
                self._end_word()
                position += 1
                continue
            position = token.end()
            kind = token.lastgroup
            # Most of a command is words and blanks.
            if kind == "word":
                word = self._word
                self._word = token[0] if word is None else word + token[0]
            elif kind == "space":
                if self._word is not None:
                    self._end_word()
            else:
                take(kind, token[0])
        self._end_command()
        while self._open:
            self._close()
            self._end_command()

    def _take(self, kind: str | None, found: str) -> None:
        match kind:
            case "dollar":
                self._word = found if self._word is None else self._word + found
            case "ifs":
                self._end_word()
            case "operator":
                self._operate(found)
            case "redirect":
                self._redirect(found)
            case "single":
                inner = found.lstrip("$")[1:].removesuffix("'")
                self._word = (self._word or "") + _BLANKS.sub(" ", inner)
            case "double":
                self._quoted(found.lstrip("$")[1:].removesuffix('"'))
            case "escape":
                self._word = (self._word or "") + found[1:]

    def _operate(self, found: str) -> None:
        if found.endswith("(") or (found == "`" and not self._within_back_quotes()):
            if found == "(":
                self._end_command()
            self._open.append((found, self._words, self._word))
            self._words, self._word = [], None
            return
        self._end_command()
        if found in {")", "`"} and self._open:
            self._close()

    def _within_back_quotes(self) -> bool:
        return bool(self._open) and self._open[-1][0] == "`"

    def _close(self) -> None:
        """Go on with the command that a substitution stood in."""
        opened, self._words, word = self._open.pop()
        self._word = word if opened == "(" else (word or "") + "$()"

    def _redirect(self, found: str) -> None:
        number = self._word if self._word is not None and self._word.isdecimal() else ""
        if not number:
            self._end_word()
        self._word = number + found.rstrip()

    def _quoted(self, inner: str) -> None:
        if "\\" in inner:
            inner = _IN_DOUBLE.sub(r"\1", inner)
        if "$(" in inner or "`" in inner:
            self._inner += [one or other for one, other in _SUBSTITUTION.findall(inner)]
        self._word = (self._word or "") + _BLANKS.sub(" ", inner)

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append(self._word or "''")
            self._word = None

    def _end_command(self) -> None:
        self._end_word()
        if self._words:
            self.take_words(self._words)
            self._words = []
        if self._inner:
            inner, self._inner = self._inner, []
            for text in inner:
                self._descend(text)

    def _descend(self, text: str) -> None:
        if self._depth < _MAX_DEPTH:
            _Reader(self._lines, self._depth + 1).read(text)

    def take_words(self, words: list[str], *, repeated: bool = False) -> None:
        """Add the lines of one simple command.

        Args:
            words: Its words.
            repeated: Whether another command runs it for each of its findings. A shell then only
                runs its command string, like any other runner.
        """
        start, kept, name = 0, False, ""
        for _ in range(_MAX_RUNNERS):
            start = _after_assignments(words, start)
            if start == len(words):
                return
            name = _BIN.sub("", words[start], count=1)
            options = _RUNNERS.get(name)
            following = start if options is None else _after_options(words, start + 1, options)
            if following in {start, len(words)}:
                break
            if name in _KEPT and not kept:
                kept = True
                self._lines.append(" ".join((name, *words[start + 1 :])))
            repeated = repeated or name == "xargs"
            start = following
        self._add(name, words, start, repeated=repeated)

    def _add(self, name: str, words: list[str], start: int, *, repeated: bool) -> None:
        line = " ".join((name, *words[start + 1 :]))
        string = _command_string(words, start + 1) if name in _SHELLS else None
        if string is None or not repeated:
            self._lines.append(line)
        if string is not None:
            self._descend(string)
        elif name == "find" and self._depth < _MAX_DEPTH:
            for number in range(start + 1, len(words) - 1):
                if words[number] in _FIND_ACTIONS:
                    inner = _Reader(self._lines, self._depth + 1)
                    inner.take_words(words[number + 1 :], repeated=True)
                    break
        elif start and words[start - 1] == "eval":
            self._descend(line)


def _command_string(words: list[str], start: int) -> str | None:
    """Return the string that a shell is given to run; None when it is given none."""
    for number in range(start, len(words) - 1):
        if _OPTION_C.fullmatch(words[number]):
            return words[number + 1]
    return None


def _after_assignments(words: list[str], start: int) -> int:
    """Return the place of the first word that is neither key word nor assignment before a name."""
    last = len(words) - 1
    while start <= last:
        word = words[start]
        if word not in _KEYWORDS and (start == last or not _ASSIGNMENT.match(word)):
            break
        start += 1
    return start


def _after_options(words: list[str], start: int, with_argument: frozenset[str]) -> int:
    """Return the place of the first word that is no option of a runner."""
    while start < len(words) and words[start][:1] == "-" and len(words[start]) > 1:
        start += 2 if words[start] in with_argument else 1
    # The first argument of `timeout` is a duration.
    while start < len(words) and _DURATION.fullmatch(words[start]):
        start += 1
    return min(start, len(words))
