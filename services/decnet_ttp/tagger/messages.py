# SPDX-License-Identifier: AGPL-3.0-or-later
"""Giving mail events what their stored messages hold, for as long as they are evaluated."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from decnet_ttp.tagger.artifacts import ArtifactError, Artifacts, Reason
from decnet_ttp.tagger.mail_content import NotAMailError, read_mail
from decnet_ttp.v1 import event_pb2


class Messages:
    """Reads stored mails off the event loop, one at a time, so that one bounds the memory.

    Args:
        artifacts: Where they are.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="mail")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End the thread."""
        self._executor.shutdown(cancel_futures=True)

    async def attach(self, group: event_pb2.EventGroup, event: event_pb2.Event) -> Reason | None:
        """Read the message of a mail event into it.

        Args:
            group: The event's group, which says where the mail was received.
            event: The event; one that has its content already, or names no message, is left.

        Returns:
            Why there is nothing to see; None where there is, or where there is no message.
        """
        if event.HasField("mail_content") or not event.email.stored_as:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._read, group.decky_id, event)

    def _read(self, decky: str, event: event_pb2.Event) -> Reason | None:
        try:
            data = self.artifacts.read(decky, event.email.stored_as)
            event.mail_content.CopyFrom(read_mail(data, event.email))
        except ArtifactError as error:
            return error.reason
        except NotAMailError:
            self.artifacts.refused[Reason.NOT_A_MAIL.value] += 1
            return Reason.NOT_A_MAIL
        return None
