"""gevent's own WSGI server. It leaves signals to the program around it; this end is what its documentation shows."""

import os
import signal
import socket

import gevent
from gevent.pywsgi import WSGIServer
from wsgi_app import app

GRACE_SECONDS = 25

if __name__ == "__main__":
    server = WSGIServer(("127.0.0.1", int(os.environ["BENCH_PORT"])), app, log=None, spawn=1000)
    gevent.signal_handler(signal.SIGTERM, server.stop, GRACE_SECONDS)
    server.start()
    # Accepted sockets take it over. Without it, a head and a body sent apart wait 40 ms for the client's word.
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.serve_forever(stop_timeout=GRACE_SECONDS)
