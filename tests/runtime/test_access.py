# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bearer tokens: which a server takes, what each role may do, and how clients send theirs."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp import v1
from decnet_ttp.core.errors import (
    DecnetError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from decnet_ttp.runtime.access import ALLOWED, AccessInterceptor
from decnet_ttp.runtime.access_file import AccessFile, Role, read_access
from decnet_ttp.runtime.bearer import read_token
from decnet_ttp.runtime.boundary import from_rpc_error
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.v1 import (
    directory_service_pb2,
    directory_service_pb2_grpc,
    rule_store_service_pb2,
    rule_store_service_pb2_grpc,
)
from runtime.certificates import Certificates
from runtime.pages import read_page
from runtime.seen import logged
from runtime.served import serving

TOKENS = {role: f"{role}-0123456789abcdef0123456789abcdef" for role in Role}
ASK = directory_service_pb2.GetAttackerRequest(ip="203.0.113.7")
LINK = directory_service_pb2.LinkAttackersRequest()


@pytest.fixture
def access_file(tmp_path: Path) -> Path:
    """A file with one token for each role, one of them as its digest."""
    digest = hashlib.sha256(TOKENS[Role.SERVICE].encode()).hexdigest()
    path = tmp_path / "access"
    path.write_text(
        f"# who may\nreader {TOKENS[Role.READER]}\n\noperator\t{TOKENS[Role.OPERATOR]}\n"
        f"service sha256:{digest}\n"
    )
    return path


@pytest.fixture
def asking(access_file: Path) -> Settings:
    """Settings of a server that other hosts reach, and that asks for tokens."""
    return Settings(
        listen="0.0.0.0:0",
        insecure=True,
        access_file=access_file,
        metrics_listen="127.0.0.1:0",
        grace_s=5.0,
    )


def client(tmp_path: Path, token: str | None, **changed: Any) -> Settings:
    """Settings of a client that sends a token, or none."""
    if token is None:
        return Settings(**changed)
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    return Settings(token_file=path, **changed)


def near(address: str) -> str:
    """Return where this host reaches a server that listens on all addresses."""
    return f"127.0.0.1:{address.rpartition(':')[2]}"


def test_every_method_says_who_may_call_it() -> None:
    modules = [
        importlib.import_module(f"decnet_ttp.v1.{item.name}")
        for item in pkgutil.iter_modules(v1.__path__)
        if item.name.endswith("_service_pb2")
    ]
    methods = {
        f"/{service.full_name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(ALLOWED) == methods


@pytest.mark.parametrize(
    ("method", "roles"),
    [
        ("TagStoreService/ListTags", {Role.READER, Role.OPERATOR, Role.SERVICE}),
        ("TagStoreService/InsertTags", {Role.SERVICE}),
        ("IngestService/SubmitEvents", {Role.SERVICE}),
        ("RuleStoreService/SetRuleState", {Role.OPERATOR}),
        ("DirectoryService/MergeIdentities", {Role.OPERATOR, Role.SERVICE}),
        ("TagStoreService/NoSuchMethod", set()),
    ],
)
def test_a_role_may_do_what_is_its_own(access_file: Path, method: str, roles: set[Role]) -> None:
    access = AccessInterceptor(AccessFile(access_file))
    for role, token in TOKENS.items():
        if role in roles:
            access.check(f"/decnet_ttp.v1.{method}", f"Bearer {token}")
        else:
            with pytest.raises(PermissionDeniedError):
                access.check(f"/decnet_ttp.v1.{method}", f"Bearer {token}")


@pytest.mark.parametrize(
    "sent", ["", "Bearer ", "Bearer wrong", TOKENS[Role.SERVICE], f"Basic {TOKENS[Role.SERVICE]}"]
)
def test_what_is_no_token_of_ours_proves_nothing(access_file: Path, sent: str) -> None:
    with pytest.raises(UnauthenticatedError):
        AccessInterceptor(AccessFile(access_file)).check(
            "/decnet_ttp.v1.TagStoreService/ListTags", sent
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no token"),
        ("# nothing\n", "names no token"),
        ("admin 0123456789abcdef0123456789abcdef", ":1: not a role"),
        ("reader\n", ":1: not a role"),
        ("\nreader secret-but-short", ":2: the token is shorter than 32"),
        ("reader sha256:secretsecret", ":1: sha256: is not followed"),
        (f"reader sha256:{'a ' * 32}", ":1: not a role"),
    ],
)
def test_a_file_that_cannot_be_meant_ends_the_start(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "access"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said) as refused:
        read_access(path)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n", "two words", "line\nline"])
def test_a_file_that_holds_no_token_ends_the_client(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(SettingsError, match="is not one token"):
        read_token(path)
    with pytest.raises(SettingsError, match="cannot read"):
        read_token(tmp_path / "none")


async def outcome(target: str, settings: Settings) -> list[type[DecnetError] | None]:
    """Ask, write, and watch; return what each was refused with, None for an answer."""
    found: list[type[DecnetError] | None] = []
    async with open_channel(target, settings) as channel:
        stub = directory_service_pb2_grpc.DirectoryServiceStub(channel)
        for method, request in ((stub.GetAttacker, ASK), (stub.LinkAttackers, LINK)):
            try:
                await call(method, request, timeout_s=60)  # type: ignore[arg-type]  # of two kinds
                found.append(None)
            except DecnetError as error:
                found.append(type(error))
        rules = rule_store_service_pb2_grpc.RuleStoreServiceStub(channel)
        watch = rules.WatchRules(rule_store_service_pb2.WatchRulesRequest(), timeout=60)
        try:
            found.extend([None async for _ in watch])
        except grpc.aio.AioRpcError as error:
            found.append(type(from_rpc_error(error)))
    return found


NOBODY = [UnauthenticatedError] * 3
READER = [None, PermissionDeniedError, None]
#: The stand-in of the test has no such method, which only callers who were let through learn.
OPERATOR = [None, UnimplementedError, None]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, NOBODY),
        ("0123456789abcdef0123456789abcdef", NOBODY),
        (TOKENS[Role.READER], READER),
        (TOKENS[Role.OPERATOR], OPERATOR),
        (TOKENS[Role.SERVICE], OPERATOR),
    ],
)
async def test_calls_of_every_kind_are_let_through_by_role(
    asking: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    token: str | None,
    expected: list[type[DecnetError] | None],
) -> None:
    caplog.set_level("INFO")
    async with serving(asking) as served:
        target = near(served.server.address)
        assert await outcome(target, client(tmp_path, token)) == expected
        page = await read_page(served.server.metrics_address)
    denied = sum(page.get("decnet_ttp_calls_denied_total", {}).values())
    refused = [each for each in expected if each in (UnauthenticatedError, PermissionDeniedError)]
    assert denied == len(refused)
    assert logged(caplog).count("call denied") >= len(refused)
    for secret in TOKENS.values():
        assert secret not in f"{page}{logged(caplog)}"


async def test_health_is_open_to_all(asking: Settings) -> None:
    async with (
        serving(asking) as served,
        open_channel(near(served.server.address), Settings()) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=60)
    assert answer.status in health_pb2.HealthCheckResponse.ServingStatus.values()


@pytest.mark.parametrize("listen", ["unix:{folder}/s.sock", "127.0.0.1:0"])
async def test_nobody_on_this_host_is_asked(asking: Settings, folder: Path, listen: str) -> None:
    local = replace(asking, listen=listen.format(folder=folder), metrics_listen="")
    async with serving(local) as served:
        assert await outcome(served.server.address, Settings()) == OPERATOR


async def test_over_tls_the_token_is_asked_for_beside_the_certificate(
    asking: Settings, certificates: Certificates, tmp_path: Path
) -> None:
    tls = certificates.settings("server", asking.listen)
    peer = certificates.settings("client")
    async with serving(replace(tls, access_file=asking.access_file, grace_s=5.0)) as served:
        target = near(served.server.address)
        assert await outcome(target, peer) == NOBODY
        reader = client(tmp_path, TOKENS[Role.READER])
        assert await outcome(target, replace(peer, token_file=reader.token_file)) == READER


async def test_people_need_a_token_and_no_certificate_at_the_address_for_them(
    asking: Settings, certificates: Certificates, tmp_path: Path
) -> None:
    """The address of the services wants both; that of the people is told apart by its port."""
    tls = certificates.settings("server", asking.listen)
    both = replace(tls, people_listen="0.0.0.0:0", access_file=asking.access_file, grace_s=5.0)
    person = replace(client(tmp_path, TOKENS[Role.READER]), tls_ca=tls.tls_ca)
    async with serving(both) as served:
        people, services = near(served.server.people_address), near(served.server.address)
        assert await outcome(people, person) == READER
        assert await outcome(people, replace(person, token_file=None)) == NOBODY
        assert await outcome(services, person) == [UnavailableError] * 3
        peer = replace(certificates.settings("client"), token_file=person.token_file)
        assert await outcome(services, peer) == READER


async def test_with_an_address_for_people_the_near_one_asks_too(
    asking: Settings, folder: Path
) -> None:
    local = replace(
        asking, listen=f"unix:{folder}/s.sock", people_listen="127.0.0.1:0", metrics_listen=""
    )
    async with serving(local) as served:
        assert await outcome(served.server.address, Settings()) == NOBODY
        assert await outcome(served.server.people_address, Settings()) == NOBODY


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"access_file": None}, "people_listen: .* would take calls of anybody; set access_file"),
        ({"insecure": False}, "people_listen: .* reachable from other hosts without TLS"),
        ({"people_listen": "everywhere"}, "people_listen: everywhere is no address; use host:port"),
    ],
)
async def test_an_address_for_people_is_not_opened_to_all(
    asking: Settings, changed: dict[str, Any], said: str
) -> None:
    near_only = replace(asking, listen="127.0.0.1:0", metrics_listen="")
    settings = replace(near_only, **{"people_listen": "0.0.0.0:0", **changed})
    with pytest.raises(SettingsError, match=said):
        async with serving(settings):
            pass


async def test_a_listener_that_anybody_may_call_is_refused_with_tls_too(
    asking: Settings, certificates: Certificates
) -> None:
    """Encrypted is not authenticated: without an authority and without tokens all are let in."""
    tls = replace(certificates.settings("server", asking.listen), tls_ca=None, grace_s=5.0)
    with pytest.raises(SettingsError, match="would take calls of anybody; set tls_ca"):
        async with serving(tls):
            pass
    async with serving(replace(tls, access_file=asking.access_file)) as served:
        anybody = Settings(tls_ca=certificates.folder / "ca.pem")
        assert await outcome(near(served.server.address), anybody) == NOBODY


async def test_a_token_is_not_sent_for_all_to_read(tmp_path: Path) -> None:
    settings = client(tmp_path, TOKENS[Role.READER])
    for target in ("192.0.2.2:50051", "store.example:50051", "dns:///store.example:50051"):
        with pytest.raises(SettingsError, match="without TLS"):
            open_channel(target, settings)
        await open_channel(target, replace(settings, insecure=True)).close()
    await open_channel("127.0.0.1:50051", settings).close()
    await open_channel(f"unix:{tmp_path}/s.sock", settings).close()
