"""The model server's own connections with the bare handler behind them: no checks, no batches, no metrics."""

import asyncio
import os
from collections.abc import Callable

import uvloop
from handler import answer

from tidegate_server.serving import http_limits
from tidegate_server.settings import Settings
from tidegate_server.web.hub import Hub
from tidegate_server.web.message import Answer, Request


def handle(request: Request, respond: Callable[[Answer], None]) -> None:
    respond(Answer(200, answer(request.body)))


async def serve() -> None:
    hub = Hub(handle, http_limits(Settings.from_env({})), asyncio.get_running_loop())
    await hub.listen("127.0.0.1", int(os.environ["BENCH_PORT"]))
    while True:
        await asyncio.sleep(1)
        hub.tick()


if __name__ == "__main__":
    uvloop.run(serve())
