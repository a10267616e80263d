# SPDX-License-Identifier: AGPL-3.0-or-later
"""A tagger served in this process over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from decnet_ttp.attack import Catalogue
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_follower import RuleFollower
from decnet_ttp.tagger.servicer import TaggerServicer
from decnet_ttp.v1 import rule_store_service_pb2_grpc, tagger_service_pb2_grpc
from tagger.rule_stores import OPTIONS

Stub = tagger_service_pb2_grpc.TaggerServiceStub


@asynccontextmanager
async def serving_tagger(
    folder: Path, store_target: str, catalogue: Catalogue
) -> AsyncIterator[tuple[Stub, RuleFollower]]:
    """Serve a tagger within this process until the block ends."""
    lifters = [RuleEngine()]
    stop = asyncio.Event()
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    target = f"unix:{folder}/tagger.sock"
    async with (
        grpc.aio.insecure_channel(store_target, options=OPTIONS) as to_store,
        grpc.aio.insecure_channel(target, options=OPTIONS) as channel,
    ):
        follower = RuleFollower(
            rule_store_service_pb2_grpc.RuleStoreServiceStub(to_store), lifters, catalogue
        )
        servicer = TaggerServicer(
            lifters=lifters,
            follower=follower,
            evaluation=Evaluation(lifters, attack_release=catalogue.attack_release),
            attack_release=catalogue.attack_release,
        )
        tagger_service_pb2_grpc.add_TaggerServiceServicer_to_server(servicer, server)
        server.add_insecure_port(target)
        await server.start()
        following = asyncio.create_task(follower.follow(stop))
        try:
            yield Stub(channel), follower
        finally:
            stop.set()
            await following
            await server.stop(0.5)
