"""The same client, to be awaited: each call waits in a thread of its own, and the event loop goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from os import PathLike

from tidegate.client.synchronous import ANSWER, HOUR, MANAGER, Client, Done, Given
from tidegate.view.rollout_view import RolloutView

_END = object()


class AsyncClient:
    """See Client for what each method does and raises."""

    def __init__(
        self, namespace: str | None = None, *, kubeconfig: str | PathLike[str] | None = None, context: str | None = None
    ) -> None:
        self._client = Client(namespace, kubeconfig=kubeconfig, context=context)

    @property
    def namespace(self) -> str:
        """Where the models are that are meant."""
        return self._client.namespace

    async def apply(self, given: Given, *, manager: str = MANAGER, force: bool = False) -> RolloutView:
        return await asyncio.to_thread(partial(self._client.apply, given, manager=manager, force=force))

    async def get(self, name: str) -> RolloutView:
        return await asyncio.to_thread(self._client.get, name)

    async def models(self) -> list[RolloutView]:
        return await asyncio.to_thread(self._client.models)

    async def watch(self, name: str, *, timeout: timedelta | None = None) -> AsyncIterator[RolloutView]:
        ticks = self._client.ticks(name, timeout=timeout)
        while (view := await asyncio.to_thread(next, ticks, _END)) is not _END:
            if isinstance(view, RolloutView):
                yield view

    async def wait(
        self,
        name: str,
        *,
        timeout: timedelta = HOUR,
        seen: Callable[[RolloutView], None] = lambda view: None,
        version: str = "",
    ) -> RolloutView:
        """`seen` is called in the thread that waits."""
        return await asyncio.to_thread(partial(self._client.wait, name, timeout=timeout, seen=seen, version=version))

    async def approve(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.approve, name, reason, timeout=timeout))

    async def promote(self, name: str, reason: str = "", *, full: bool = False, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.promote, name, reason, full=full, timeout=timeout))

    async def skip(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.skip, name, reason, timeout=timeout))

    async def abort(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.abort, name, reason, timeout=timeout))

    async def retry(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.retry, name, reason, timeout=timeout))

    async def restart(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.restart, name, reason, timeout=timeout))

    async def pause(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.pause, name, reason, timeout=timeout))

    async def resume(self, name: str, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.resume, name, reason, timeout=timeout))

    async def undo(self, name: str, to: str | None = None, reason: str = "", *, timeout: timedelta = ANSWER) -> Done:
        return await asyncio.to_thread(partial(self._client.undo, name, to, reason, timeout=timeout))
