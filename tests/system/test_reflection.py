# SPDX-License-Identifier: AGPL-3.0-or-later
"""A client that has no generated code finds the services and calls them, as grpcurl does."""

from __future__ import annotations

import grpc
import pytest
from benchmarks.cowrie_logs import SAMPLE
from benchmarks.installation import Installation
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from decnet_ttp.embedded.layout import load_instance

pytestmark = pytest.mark.system

SERVICES = {
    "tag_store": {"TagStoreService", "RollupService", "DirectoryService", "ExportService"},
    "rule_store": {"RuleStoreService"},
    "ingest": {"IngestService"},
    "attribution": {"AttributionService"},
    "taggers": {"TaggerService"},
}


def call_by_reflection(channel: grpc.Channel, method: str, request: object) -> object:
    """Call a unary method known by its full name only; returns its answer as JSON."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    service_name, _, method_name = method.rpartition(".")
    found = pool.FindServiceByName(service_name).methods_by_name[method_name]
    request_class = GetMessageClass(found.input_type)
    response_class = GetMessageClass(found.output_type)
    call = channel.unary_unary(
        f"/{service_name}/{method_name}",
        request_serializer=request_class.SerializeToString,
        response_deserializer=response_class.FromString,
    )
    answer = call(ParseDict(request, request_class(), descriptor_pool=pool), timeout=60)
    return MessageToDict(answer, preserving_proto_field_name=True, descriptor_pool=pool)


def test_services_are_found_and_a_roll_up_called_without_stubs(
    installation: Installation,
) -> None:
    installation.run("import", "cowrie", SAMPLE, "--wait", "240")
    instance = load_instance(installation.data_dir)
    for name, expected in SERVICES.items():
        target = getattr(instance, name)
        with grpc.insecure_channel(
            target if isinstance(target, str) else target[0],
            options=[("grpc.default_authority", "localhost")],
        ) as channel:
            listed = set(ProtoReflectionDescriptorDatabase(channel).get_services())
            assert {f"decnet_ttp.v1.{service}" for service in expected} <= listed
            assert {
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
            } <= listed
            if name == "tag_store":
                answer = call_by_reflection(
                    channel,
                    "decnet_ttp.v1.RollupService.ListTechniques",
                    {"scope": {"fleet": {}}, "order": "TECHNIQUE_ORDER_COUNT"},
                )
    rows = {row["technique_id"]: row for row in answer["techniques"]}  # type: ignore[index]
    assert rows["T1105"]["technique_name"] == "Ingress Tool Transfer"
    assert int(rows["T1105"]["count"]) == 10
