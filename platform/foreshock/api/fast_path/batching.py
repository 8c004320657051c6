"""Requests that wait at the same time are scored as one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from foreshock.api.replicas import Served
from foreshock.api.scorer import score_together
from foreshock_models.panel import Panel

__all__ = ["Batcher"]


@dataclass(frozen=True)
class _Waiting:
    served: Served
    panel: Panel
    last: int | None
    answer: asyncio.Future[bytes]


class Batcher:
    """Scores in this process, in the event loop: for requests that take less time than going elsewhere.

    It waits for nobody. What has come by the time that the loop gets to scoring is scored together: one request
    alone when there is little to do, many when there is much.
    """

    def __init__(self) -> None:
        self.waiting: list[_Waiting] = []

    async def score(self, served: Served, panel: Panel, last: int | None) -> bytes:
        """The answer, as JSON; see `score_together`."""
        loop = asyncio.get_running_loop()
        if not self.waiting:
            loop.call_soon(self._score)
        one = _Waiting(served, panel, last, loop.create_future())
        self.waiting.append(one)
        return await one.answer

    def _score(self) -> None:
        waiting, self.waiting = self.waiting, []
        groups: dict[int, list[_Waiting]] = {}
        for one in waiting:
            if not one.answer.cancelled():  # whose client is still there
                groups.setdefault(id(one.served), []).append(one)
        for group in groups.values():
            try:
                answers = score_together(group[0].served, [(one.panel, one.last) for one in group])
            except Exception as exc:
                for one in group:
                    one.answer.set_exception(exc)
            else:
                for one, answer in zip(group, answers, strict=True):
                    one.answer.set_result(answer)
