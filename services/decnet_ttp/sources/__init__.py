# SPDX-License-Identifier: AGPL-3.0-or-later
"""Input adapters: foreign logs become the upstream messages that ingest consumes.

An adapter is a class that satisfies `decnet_ttp.sources.protocol.Source`, found by the entry point
group `decnet_ttp.sources`. It yields messages and problems and publishes nothing itself;
`decnet_ttp.sources.publish` carries the messages to the bus.
"""
