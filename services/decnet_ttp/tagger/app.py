# SPDX-License-Identifier: AGPL-3.0-or-later
"""Composition root of a tagger."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from decnet_ttp.attack import load_catalogue
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.server import Server
from decnet_ttp.tagger.artifacts import Artifacts
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.figures import Figures
from decnet_ttp.tagger.lifter import load_lifters
from decnet_ttp.tagger.messages import Messages
from decnet_ttp.tagger.rule_follower import RuleFollower
from decnet_ttp.tagger.servicer import TaggerServicer
from decnet_ttp.v1 import rule_store_service_pb2_grpc, tagger_service_pb2_grpc


async def run(settings: Settings, lifters: Sequence[str]) -> None:
    """Run a tagger until SIGTERM.

    Args:
        settings: Where the rule-store is.
        lifters: Names of the lifters to host; none means all.

    Raises:
        SettingsError: The rule-store is not named.
        DecnetError: A lifter is not installed, or no ATT&CK catalogue can be loaded.
    """
    if not settings.rule_store:
        raise SettingsError("a tagger needs DECNET_TTP_RULE_STORE; name its gRPC target")
    hosted = load_lifters(lifters, settings.rules_dir)
    catalogue = load_catalogue(
        bundle=settings.attack_bundle,
        sha256=settings.attack_sha256,
        cache_dir=settings.attack_cache_dir,
    )
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(open_channel(settings.rule_store, settings))
        follower = RuleFollower(
            rule_store_service_pb2_grpc.RuleStoreServiceStub(channel), hosted, catalogue
        )
        artifacts = Artifacts(settings.artifacts_root, max_bytes=settings.artifacts_max_bytes)
        evaluation = Evaluation(
            hosted,
            attack_release=catalogue.attack_release,
            messages=stack.enter_context(Messages(artifacts)),
        )
        figures = Figures(evaluation.statistics, follower, artifacts)
        servicer = TaggerServicer(
            lifters=hosted,
            follower=follower,
            evaluation=evaluation,
            attack_release=catalogue.attack_release,
            artifacts=artifacts,
        )

        async def ready() -> bool:
            return follower.loaded

        server = Server(
            settings, name="tagger", progress=figures.progress, metrics=[figures.counted]
        ).add(
            tagger_service_pb2_grpc.add_TaggerServiceServicer_to_server,
            servicer,
            "decnet_ttp.v1.TaggerService",
        )
        await server.run(ready=ready, tasks=[follower.follow, servicer.end_waits])
