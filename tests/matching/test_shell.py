# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.matching.shell import MAX_CLOSE_CHARS, command_lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("id", ["id"]),
        ("cd /tmp;wget x&&chmod +x x||./x &", ["cd /tmp", "wget x", "chmod +x x", "./x"]),
        ("cat  a |\tgrep b", ["cat a", "grep b"]),
        ("w'g'et ht\"tp\"://x", ["wget http://x"]),
        ("\\u\\n\\a\\m\\e -a", ["uname -a"]),
        ("c''at${IFS}/etc/passwd", ["cat /etc/passwd"]),
        ("cat$IFS$9/etc/passwd", ["cat /etc/passwd"]),
        ("w$@get x", ["wget x"]),
        ("wge\\\nt x", ["wget x"]),
        ("echo 'a; id' \"b | w\"", ["echo a; id b | w"]),
        ("echo 'two\nlines'", ["echo two lines"]),
        ("adduser --gecos '' bob", ["adduser --gecos '' bob"]),
        ("echo x > /etc/cron.d/a 2>&1", ["echo x >/etc/cron.d/a 2>&1"]),
        ("cat < /etc/passwd >> out", ["cat </etc/passwd >>out"]),
        ("ls # and id", ["ls"]),
        ("echo a#b", ["echo a#b"]),
        ("/usr/bin/whoami", ["whoami"]),
        ("/opt/x/whoami", ["/opt/x/whoami"]),
        ("A=1 B=2 id", ["id"]),
        ("HISTFILE=", ["HISTFILE="]),
        ("for i in 1 2; do curl x; done", ["for i in 1 2", "curl x", "done"]),
        ("if id; then w; fi", ["id", "w", "fi"]),
        ("sudo -u root id", ["sudo -u root id", "id"]),
        ("sudo -l", ["sudo -l"]),
        ("nohup env -i A=1 timeout 5 wget x &", ["wget x"]),
        ("/bin/busybox wget x", ["busybox wget x", "wget x"]),
        ("echo a | xargs -n 1 rm", ["echo a", "xargs -n 1 rm", "rm"]),
        ("bash -c 'id; w'", ["bash -c id; w", "id", "w"]),
        ("sh -c \"sh -c 'id'\"", ["sh -c sh -c 'id'", "sh -c id", "id"]),
        ("eval 'wget x; id'", ["eval wget x; id", "wget x; id", "wget x", "id"]),
        ("find / -exec cat {} \\;", ["find / -exec cat {} ;", "cat {} ;"]),
        ("echo $(uname -a) `id`", ["uname -a", "id", "echo $() $()"]),
        ("useradd -p $(openssl passwd x) bob", ["openssl passwd x", "useradd -p $() bob"]),
        ("a$(b $(c) d)e f", ["c", "b $() d", "a$()e f"]),
        ("cat <(id; w) x", ["id", "w", "cat $() x"]),
        ("echo `id", ["id", "echo $()"]),
        ("x) id ;; esac", ["x", "id", "esac"]),
        ("find . -exec sh -c 'id; w' \\;", ["find . -exec sh -c id; w ;", "id", "w"]),
        ("find . -exec /bin/sh \\; -quit", ["find . -exec /bin/sh ; -quit", "sh ; -quit"]),
        ("ls | xargs -n1 bash -c 'id'", ["ls", "xargs -n1 bash -c id", "id"]),
        ("$SHELL -c 'wget x'", ["$SHELL -c wget x", "wget x"]),
        ('x="$(uname -m)"', ["x=$(uname -m)", "uname -m"]),
        ("(crontab -l; echo a) | crontab -", ["crontab -l", "echo a", "crontab -"]),
        ("echo 'unclosed", ["echo unclosed"]),
    ],
)
def test_command_lines(text: str, lines: list[str]) -> None:
    assert command_lines(text).splitlines() == lines


def test_a_command_behind_padding_is_still_split() -> None:
    text = "echo " + "a" * MAX_CLOSE_CHARS + "; wget http://198.51.100.7/x;id"
    assert command_lines(text).splitlines()[-2:] == ["wget http://198.51.100.7/x", "id"]


@given(st.text(alphabet="ab '\"\\$(){}`;|&<>\n#=-!sudoevalfindexecIFS*@~", max_size=200))
def test_any_text_is_taken_apart_without_inventing_much(text: str) -> None:
    lines = command_lines(text)
    # Each level of command strings repeats text at most once, each runner once more.
    assert len(lines) <= 32 * (len(text) + 1)


@pytest.mark.parametrize(
    "bait",
    [
        ";",
        "'",
        '"$(',
        "`",
        "sh -c '",
        "sudo ",
        "$(sh -c '",
        "\\",
        "a=b ",
        "> ",
        '"`a`"',
        "find -exec ",
    ],
)
def test_a_mebibyte_of_bait_stays_cheap(bait: str) -> None:
    """Measured at 10 to 40 ms; the bound leaves room for a busy machine and none for a square."""
    text = bait * (2**20 // len(bait))
    began = time.process_time()
    command_lines(text)
    assert time.process_time() - began < 2.0
