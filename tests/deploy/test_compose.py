# SPDX-License-Identifier: AGPL-3.0-or-later
"""deploy/compose.yaml and its overrides, read without Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

#: Run once by a person, so nothing watches it.
TOOLS = {"cli"}


class _Loader(yaml.SafeLoader):
    """Reads Compose's own tags as what they hold."""


_Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def document(name: str) -> dict[str, Any]:
    """One Compose file."""
    loaded: dict[str, Any] = yaml.load((DEPLOY / name).read_text(), _Loader)  # noqa: S506 - derived from SafeLoader
    return loaded


SERVICES: dict[str, Any] = document("compose.yaml")["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LIFTERS = PROJECT["entry-points"]["decnet_ttp.lifters"]
#: Services of which several replicas run on one host.
SCALABLE = {"ingest", *(f"tagger-{name.replace('_', '-')}" for name in LIFTERS)}
OURS = {name for name, service in SERVICES.items() if "decnet-ttp" in service["image"]}
OVERRIDES = sorted(path.name for path in DEPLOY.glob("compose.*.yaml"))


def test_every_service_of_the_program_is_a_compose_service() -> None:
    taggers = {f"tagger-{name.replace('_', '-')}" for name in LIFTERS}
    others = {"rule-store", "tag-store", "ingest", "attribution"}
    assert others | taggers == OURS - TOOLS


@pytest.mark.parametrize("lifter", sorted(LIFTERS))
def test_every_lifter_has_its_own_service_and_profile(lifter: str) -> None:
    name = lifter.replace("_", "-")
    service = SERVICES[f"tagger-{name}"]
    assert service["command"] == ["serve", "tagger", "--lifter", lifter]
    assert service["profiles"] == ["lifters", name]
    targets = SERVICES["ingest"]["environment"]["DECNET_TTP_TAGGERS"]
    assert f"dns:///tagger-{name}:50051" in targets.removesuffix("}").split(":-")[1].split(",")


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - TOOLS))
def test_every_service_is_watched_restarted_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert "memory" in service["deploy"]["resources"]["limits"]
    assert service["profiles"]


@pytest.mark.parametrize("name", sorted(OURS - TOOLS))
def test_our_services_check_their_grpc_health(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "decnet-ttp", "health"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_has_few_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_name_their_version(name: str) -> None:
    image = re.sub(r"\$\{[A-Z_]*IMAGE:-(.*)\}", r"\1", SERVICES[name]["image"])
    tag = image.rpartition(":")[2]
    assert tag[:1].isdigit()
    if name in OURS:
        assert image == f"decnet-ttp:{PROJECT['version']}"


@pytest.mark.parametrize("name", sorted(SCALABLE))
def test_scalable_services_claim_nothing_that_only_one_can_have(name: str) -> None:
    services = [SERVICES[name], document("compose.tls.yaml")["services"][name]]
    assert not [key for part in services for key in ("container_name", "ports") if key in part]


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(published) == len(set(published)) == 4
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_private_network_is_named_as_the_reason_for_no_tls() -> None:
    """Without TLS by an explicit setting, and never beside certificates."""
    tls = document("compose.tls.yaml")["services"]
    for name in OURS - TOOLS:
        assert SERVICES[name]["environment"]["DECNET_TTP_INSECURE"] == "true"
        environment = tls[name]["environment"]
        assert environment["DECNET_TTP_INSECURE"] == "false"
        for item in ("CA", "CERT", "KEY"):
            assert environment[f"DECNET_TTP_TLS_{item}"].startswith("/etc/decnet-ttp/tls/")


@pytest.mark.parametrize("name", sorted(OURS - TOOLS))
def test_every_service_asks_for_tokens_and_sends_its_own(name: str) -> None:
    """A published port takes calls from whoever reaches it, on loopback too."""
    environment = SERVICES[name]["environment"]
    (mounted,) = (each for each in SERVICES[name]["volumes"] if "ACCESS_DIR" in str(each))
    assert (mounted["read_only"], mounted["bind"]) == (True, {"create_host_path": False})
    for setting in ("ACCESS_FILE", "TOKEN_FILE"):
        # In a directory: a file that is mounted by itself stays the old one when it is replaced.
        path = Path(environment[f"DECNET_TTP_{setting}"])
        assert path.parent == Path(mounted["target"])


def test_the_command_line_has_the_operators_token_and_not_the_services() -> None:
    mounted, home = SERVICES["cli"]["volumes"]
    assert home == "cli:/var/lib/decnet-ttp"
    assert mounted["source"] == "${OPERATOR_DIR:-./secrets/operator}"
    assert "DECNET_TTP_ACCESS_FILE" not in SERVICES["cli"]["environment"]
    assert document("compose.tls.yaml")["services"]["cli"]["environment"][
        "DECNET_TTP_INSECURE"
    ] == ("false")


def test_over_tls_people_have_ports_where_no_certificate_is_asked_for() -> None:
    """Those of services whose answers people read; a token is asked for on every port."""
    people = {}
    for name, service in document("compose.tls.yaml")["services"].items():
        ports = [port.rpartition("}:")[2] for port in service.get("ports", ())]
        listening = service.get("environment", {}).get("DECNET_TTP_PEOPLE_LISTEN")
        assert (listening == "0.0.0.0:50151") == any(port.endswith(":50151") for port in ports)
        if listening:
            people[name] = sorted(ports)
    assert people == {
        "tag-store": ["50051:50051", "50151:50151"],
        "rule-store": ["50052:50051", "50152:50151"],
        "attribution": ["50053:50051", "50153:50151"],
    }


def test_services_that_use_the_bus_use_tls_where_the_override_says_so() -> None:
    tls = document("compose.tls.yaml")["services"]
    for name in OURS:
        if "DECNET_TTP_NATS_URL" in SERVICES[name]["environment"]:
            assert tls[name]["environment"]["DECNET_TTP_NATS_URL"].startswith("tls://")


@pytest.mark.parametrize("name", ["compose.yaml", *OVERRIDES])
def test_no_credential_has_a_default(name: str) -> None:
    """Everywhere the same password is none; an unset one must stop the start."""
    for service in document(name)["services"].values():
        for key, value in (service.get("environment") or {}).items():
            if "PASSWORD" in key or re.search(r"://[^/]*@", value):
                assert re.search(r"\$\{[A-Z_]*PASSWORD:\?", value), key


@pytest.mark.parametrize("name", ["compose.yaml", *OVERRIDES])
def test_variables_are_not_those_of_the_command_line(name: str) -> None:
    """A shell set up for the command line must not change where services look."""
    assert "${DECNET_TTP_" not in (DEPLOY / name).read_text()


@pytest.mark.parametrize("name", OVERRIDES)
def test_overrides_change_only_what_there_is(name: str) -> None:
    assert document(name)["services"].keys() <= SERVICES.keys()


def test_example_environment_names_every_variable() -> None:
    text = (DEPLOY / "env.example").read_text()
    offered = set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE))
    read = {
        variable
        for name in ("compose.yaml", *OVERRIDES)
        for variable in re.findall(r"\$\{([A-Z_]+)", (DEPLOY / name).read_text())
    }
    assert offered == read | {"COMPOSE_PROFILES"}
    assert not re.search(r"^[A-Z_]*PASSWORD=.", text, re.MULTILINE)


def test_what_is_depended_on_starts_with_the_same_profile() -> None:
    """Or is not required: a tagger's rule-store may run on another host."""
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            shared = set(service["profiles"]) & set(SERVICES[needed]["profiles"])
            assert shared or how["required"] is False


def test_every_tagger_can_be_published_for_another_host_on_a_port_of_its_own() -> None:
    published = document("compose.tagger-host.yaml")["services"]
    assert published.keys() == {name for name in SERVICES if name.startswith("tagger-")}
    ports = [port.split("}:")[1] for service in published.values() for port in service["ports"]]
    assert len(set(ports)) == len(ports)
    assert all(port.endswith(":50051") for port in ports)


def test_certificates_name_every_service_that_is_asked(tmp_path: Path) -> None:
    """A name missing there shows only once TLS is on, as a service that nobody reaches."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl program to make certificates with")
    made = tmp_path / "certificates"
    subprocess.run(
        ["sh", DEPLOY / "make-certificates", made, "core.example", "192.0.2.1"],
        check=True,
        capture_output=True,
    )
    asked = {"localhost", "nats"} | (OURS - TOOLS)
    for host, own in (("core.example", "DNS:core.example"), ("192.0.2.1", "IP Address:192.0.2.1")):
        certificate = made / host / "cert.pem"
        show = [openssl, "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"]
        text = subprocess.run(show, check=True, capture_output=True, text=True).stdout
        assert {own} | {f"DNS:{name}" for name in asked} == set(
            text.splitlines()[1].strip().split(", ")
        )
        check = [openssl, "verify", "-CAfile", made / host / "ca.pem", certificate]
        subprocess.run(check, check=True, capture_output=True)
        assert (made / host / "key.pem").stat().st_mode & 0o777 == 0o400
