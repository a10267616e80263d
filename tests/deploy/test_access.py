# SPDX-License-Identifier: AGPL-3.0-or-later
"""deploy/access: what it writes is what the services read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from decnet_ttp.runtime.access_file import AccessFile, Caller, Role
from decnet_ttp.runtime.bearer import read_token

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "access"


@pytest.fixture(autouse=True)
def _openssl() -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make tokens with")


def access(secrets: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    return subprocess.run(
        ["sh", SCRIPT, *arguments],
        env={**os.environ, "SECRETS_DIR": str(secrets)},
        capture_output=True,
        text=True,
        check=False,
    )


def caller(secrets: Path, name: str) -> Caller | None:
    """Return as whom the services take the token in a directory."""
    token = read_token(secrets / name / "token")
    return AccessFile(secrets / "services" / "access").find(token)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Tokens as a new deployment has them."""
    made = tmp_path / "secrets"
    done = access(made, "init")
    assert (done.returncode, done.stderr) == (0, "")
    return made


def test_a_new_deployment_has_tokens_for_its_services_and_its_operator(secrets: Path) -> None:
    assert caller(secrets, "services") == Caller(Role.SERVICE, "services")
    assert caller(secrets, "operator") == Caller(Role.OPERATOR, "operator")
    before = (secrets / "services" / "access").read_text()
    assert access(secrets, "init").returncode == 0
    assert (secrets / "services" / "access").read_text() == before


def test_only_containers_look_into_the_directory(secrets: Path) -> None:
    """Their user is another: it reads what is mounted, whose parent it does not see."""
    assert secrets.stat().st_mode & 0o777 == 0o700
    for name in ("services", "operator"):
        assert (secrets / name).stat().st_mode & 0o777 == 0o755
        assert (secrets / name / "token").stat().st_mode & 0o777 == 0o644


def test_the_file_that_all_services_see_holds_no_token(secrets: Path) -> None:
    text = (secrets / "services" / "access").read_text()
    for name in ("services", "operator"):
        assert read_token(secrets / name / "token") not in text


@pytest.mark.parametrize("role", list(Role))
def test_a_person_is_added_and_revoked(secrets: Path, role: Role) -> None:
    assert access(secrets, "add", role, "alice").returncode == 0
    assert caller(secrets, "alice") == Caller(role, "alice")
    token = read_token(secrets / "alice" / "token")
    assert access(secrets, "list").stdout.splitlines()[-1] == f"{role}\talice"
    assert access(secrets, "revoke", "alice").returncode == 0
    assert AccessFile(secrets / "services" / "access").find(token) is None
    assert caller(secrets, "operator") == Caller(Role.OPERATOR, "operator")
    assert not (secrets / "alice").exists()


def test_a_host_with_taggers_knows_all_callers_and_may_only_read(secrets: Path) -> None:
    assert access(secrets, "host", "taggers").returncode == 0
    assert caller(secrets, "taggers") == Caller(Role.READER, "taggers")
    there = AccessFile(secrets / "taggers" / "access")
    assert there.find(read_token(secrets / "services" / "token")) == Caller(
        Role.SERVICE, "services"
    )


def test_the_token_of_the_services_is_made_anew(secrets: Path) -> None:
    old = read_token(secrets / "services" / "token")
    assert access(secrets, "revoke", "services").returncode == 0
    assert access(secrets, "init").returncode == 0
    assert caller(secrets, "services") == Caller(Role.SERVICE, "services")
    assert AccessFile(secrets / "services" / "access").find(old) is None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("add", "admin", "alice"), 1, "access: admin is no role; use reader, operator or service"),
        (("add", "reader", "../alice"), 1, "access: ../alice is no name; use small letters"),
        (("add", "reader", "operator"), 1, "access: operator has a token; revoke it first"),
        (("revoke", "alice"), 1, "access: alice has no token; access list shows who has"),
        (("revoke",), 2, "usage: access init"),
        ((), 2, "usage: access init"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    secrets: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = sorted(path.name for path in secrets.rglob("*"))
    done = access(secrets, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)
    assert sorted(path.name for path in secrets.rglob("*")) == before


def test_without_a_directory_the_cure_is_named(tmp_path: Path) -> None:
    done = access(tmp_path, "list")
    assert done.returncode == 1
    assert done.stderr.endswith("/services/access; run access init first\n")
