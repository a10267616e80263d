# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ingest: from messages on the bus to stored tags, each message settled exactly one way."""
