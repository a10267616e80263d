# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp attack`: what it prints, and its exit codes."""

import functools
import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from decnet_ttp.attack import load_catalogue, misp_galaxy
from decnet_ttp.attack.licence import PACKAGED_DIR, packaged_licence
from decnet_ttp.cli.main import main


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, by the environment, which holds no other setting."""
    for name in ("BUNDLE", "SHA256", "MIRROR"):
        monkeypatch.delenv(f"DECNET_TTP_ATTACK_{name}", raising=False)
    monkeypatch.delenv("DECNET_TTP_CONFIG", raising=False)
    monkeypatch.setenv("DECNET_TTP_ATTACK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def run(cache: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `decnet-ttp attack` with arguments."""

    def command(*args: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(["attack", *map(str, args)])
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return command


def test_info_says_release_source_digest_counts_and_origin(run: Run) -> None:
    done = run("info", "--json")
    assert (done.code, done.err) == (0, "")
    facts = done.json()
    assert facts["attack_release"] == "enterprise-v17"
    assert facts["loaded_from"] == "packaged"
    assert facts["path"] == str(PACKAGED_DIR / "enterprise-attack.json")
    assert facts["source"].startswith("MISP galaxy")
    assert len(facts["source_sha256"]) == 64
    assert facts["counts"]["techniques"] == 211
    (ics,) = facts["others"]
    assert (ics["attack_release"], ics["counts"]["techniques"]) == ("ics-v15.0", 83)
    assert ics["path"] == str(PACKAGED_DIR / "ics-attack.json")
    assert ics["licence_path"] == facts["licence_path"]


def test_info_is_tab_separated_when_piped(run: Run) -> None:
    lines = run("info").out.splitlines()
    assert "attack release\tenterprise-v17" in lines
    assert "sub techniques\t468" in lines
    assert lines.index("") < lines.index("attack release\tics-v15.0")


def test_build_from_the_galaxy_writes_the_shipped_bytes(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "new" / "catalogue.json"
    done = run("build", "--misp", "-o", target, "--json")
    assert done.code == 0
    assert done.json()["path"] == str(target)
    assert target.read_bytes() == (PACKAGED_DIR / "enterprise-attack.json").read_bytes()
    assert (tmp_path / "new" / "LICENSE.txt").read_text("utf-8") == packaged_licence()


def test_build_without_output_is_what_is_loaded_next(run: Run, cache: Path) -> None:
    assert run("build", "--misp").code == 0
    facts = run("info", "--json").json()
    assert facts["loaded_from"] == "cache"
    assert facts["path"] == str(cache / "enterprise-attack.json")


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--misp", "file.json"),
        ("--misp", "--sha256", "0" * 64),
        ("--misp", "--release", "seventeen"),
        ("--no-such-option",),
    ],
)
def test_wrong_usage_of_build_ends_with_two(run: Run, args: tuple[str, ...]) -> None:
    assert run("build", *args).code == 2


def test_build_refuses_a_source_that_is_not_the_pinned_one(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "bundle.json"
    source.write_bytes(b"{}")
    done = run("build", source, "--sha256", "0" * 64)
    assert done.code == 1
    assert done.err.startswith(
        f"decnet-ttp: {source} has sha256 {hashlib.sha256(b'{}').hexdigest()}"
    )
    assert done.err.count("\n") == 1


def test_build_says_what_it_could_not_write(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("build", "--misp", "-o", tmp_path / "file" / "x.json")
    assert done.code == 1
    assert "cannot be written" in done.err


def test_groups_are_listed_by_technique(run: Run) -> None:
    lines = run("groups", "T1059.004").out.splitlines()
    assert lines[0] == "technique\tname\tgroup\tgroup name"
    assert "T1059.004\tCommand and Scripting Interpreter: Unix Shell\tG0106\tRocke" in lines


def test_groups_of_a_revoked_id_are_its_successors(run: Run) -> None:
    asked = run("groups", "t1086", "T1059.001", "--json").json()
    assert [each["asked"] for each in asked] == ["T1086", "T1059.001"]
    assert {each["technique_id"] for each in asked} == {"T1059.001"}
    assert asked[0]["groups"] == asked[1]["groups"] != []


def test_groups_of_an_unknown_technique_fail_in_one_line(run: Run) -> None:
    done = run("groups", "T9999")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("decnet-ttp: ATT&CK 17 has no technique 'T9999'; ")
    assert run("groups").code == 2


def test_the_licence_command_cures_a_missing_licence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "alone" / "catalogue.json"
    bundle.parent.mkdir()
    bundle.write_bytes((PACKAGED_DIR / "enterprise-attack.json").read_bytes())
    monkeypatch.setenv("DECNET_TTP_ATTACK_BUNDLE", str(bundle))
    refused = run("info")
    assert refused.code == 1
    assert f"decnet-ttp attack license > {bundle.parent / 'LICENSE.txt'}" in refused.err
    shown = run("license")
    assert shown.out == packaged_licence()
    (bundle.parent / "LICENSE.txt").write_text(shown.out, "utf-8")
    assert run("info", "--json").json()["loaded_from"] == "bundle"


def test_a_wrong_pin_fails_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECNET_TTP_ATTACK_SHA256", "0" * 64)
    done = run("info")
    assert (done.code, done.out) == (1, "")
    assert "is pinned" in done.err


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Keep the test's output free of request lines."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A mirror's folder and address."""
    folder = tmp_path / "mirror"
    (folder / "enterprise-attack").mkdir(parents=True)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_fetch_refuses_bytes_that_are_not_the_official_ones(
    run: Run, cache: Path, mirror: tuple[Path, str]
) -> None:
    folder, address = mirror
    (folder / "enterprise-attack" / "enterprise-attack-19.1.json").write_bytes(b"{}")
    done = run("fetch", "--release", "19.1", "--mirror", address)
    assert (done.code, done.out) == (1, "")
    assert "bdf1ce86a4e604214c5076d37ae4dcb322678afc528df8492e6fdc1b554f5da3 is pinned" in done.err
    assert not cache.exists()


def test_fetch_brings_a_release_whose_digest_the_table_lists(
    run: Run, cache: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mitreattack import release_info  # noqa: PLC0415 - heavy, for this test only

    folder, address = mirror
    data = _smallest_bundle()
    (folder / "enterprise-attack" / "enterprise-attack-99.1.json").write_bytes(data)
    monkeypatch.setitem(release_info.STIX21["enterprise"], "99.1", hashlib.sha256(data).hexdigest())
    done = run("fetch", "--release", "99.1", "--mirror", address, "--json")
    assert done.code == 0
    assert done.json()["attack_release"] == "enterprise-v99.1"
    assert "stored the packaged text" in done.err
    assert load_catalogue(cache_dir=cache).technique_name("T9001") == "Stirring"
    assert (
        "holds this release already" in run("fetch", "--release", "99.1", "--mirror", address).err
    )


def _smallest_bundle() -> bytes:
    """One tactic with one technique, of our own making, in STIX 2.1."""

    def item(kind: str, number: int, external_id: str, **fields: object) -> dict[str, object]:
        return {
            "type": kind,
            "spec_version": "2.1",
            "id": f"{kind}--00000000-0000-4000-8000-00000000000{number}",
            "created": "2020-01-01T00:00:00.000Z",
            "modified": "2020-01-01T00:00:00.000Z",
            "external_references": [{"source_name": "mitre-attack", "external_id": external_id}],
            **fields,
        }

    tactic = item("x-mitre-tactic", 1, "TA0040", name="Impact", x_mitre_shortname="impact")
    matrix = item(
        "x-mitre-matrix", 2, "enterprise-attack", name="Enterprise", tactic_refs=[tactic["id"]]
    )
    phases = [{"kill_chain_name": "mitre-attack", "phase_name": "impact"}]
    technique = item("attack-pattern", 3, "T9001", name="Stirring", kill_chain_phases=phases)
    objects = [tactic, matrix, technique]
    bundle = {"type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000009"}
    return json.dumps(bundle | {"objects": objects}).encode()


def test_the_galaxy_is_found_where_its_package_lies() -> None:
    assert (misp_galaxy.clusters_dir() / misp_galaxy.TECHNIQUES_FILE).is_file()
