# SPDX-License-Identifier: AGPL-3.0-or-later
"""Readiness of a service, as its standard gRPC health service tells it."""

import grpc
from grpc_health.v1 import health_pb2

from decnet_ttp.embedded.child import Probe
from decnet_ttp.embedded.errors import NotReady

# Without a pool of its own a new channel would inherit the back-off of the last failure.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


def serving(target: str, *, timeout_s: float = 1.0) -> Probe:
    """Make a probe that passes when the whole process behind `target` says SERVING.

    Args:
        target: gRPC target.
        timeout_s: Seconds until it counts as silent.
    """

    async def probe(_pid: int) -> None:
        async with grpc.aio.insecure_channel(target, options=_OPTIONS) as channel:
            try:
                answer = await channel.unary_unary(
                    "/grpc.health.v1.Health/Check",
                    request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                    response_deserializer=health_pb2.HealthCheckResponse.FromString,
                )(health_pb2.HealthCheckRequest(), timeout=timeout_s)
            except grpc.aio.AioRpcError as error:
                raise NotReady(error.code().name) from error
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise NotReady(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    return probe
