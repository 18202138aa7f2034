"""The model server's own connections with the bare handler behind them: no checks, no batches, no metrics."""

import asyncio
import os

import uvloop
from handler import answer

from tidegate_server.held_bytes import HeldBytes
from tidegate_server.settings import Settings
from tidegate_server.web.message import Request, Respond, Response
from tidegate_server.web.server import HttpServer
from tidegate_server.wiring import http_limits


def handle(request: Request, respond: Respond) -> None:
    respond(Response(200, answer(request.body)))


async def serve() -> None:
    server = HttpServer(handle, http_limits(Settings.from_env({})), HeldBytes(2**30), asyncio.get_running_loop())
    await server.listen("127.0.0.1", int(os.environ["BENCH_PORT"]))
    while True:
        await asyncio.sleep(1)
        server.tick()


if __name__ == "__main__":
    uvloop.run(serve())
