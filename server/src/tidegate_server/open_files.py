"""The process's limit of open files, and how many connections may be taken below it.

At the limit the kernel hands out no connection any more, and nothing says so: neither a probe nor a client is answered.
"""

import logging
import os
import resource
from contextlib import suppress

log = logging.getLogger(__name__)

MOST = 2**16
"""Where a container has no limit, the kernel's is a billion, and programs make tables of that size."""
OF_OUR_OWN = 24
"""For what is opened meanwhile: files of keys, logs, other servers."""
MAX_GRPC_CONNECTIONS = 1024


def raise_limit() -> int:
    """The soft limit as it is then: the hard one, but not absurdly many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return MOST if soft == resource.RLIM_INFINITY else soft


def count_open() -> int:
    """Of this process; 0 where the system doesn't tell."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


def connection_limits(wanted: int, limit: int, in_use: int) -> tuple[int, int]:
    """For HTTP and for gRPC, at least four each. `wanted` for HTTP, `limit` and `in_use` of open files. Pure."""
    left = max(8, limit - in_use - OF_OUR_OWN)
    http = min(wanted, max(left // 2, left - MAX_GRPC_CONNECTIONS))
    return http, min(MAX_GRPC_CONNECTIONS, left - http)


class FileLimitWatch:
    """Says once that no more files can be opened, and once that they can again."""

    def __init__(self) -> None:
        """They can."""
        self._at_limit = False

    def look(self) -> None:
        """To be called once a second."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if not self._at_limit:
                log.error("no more files and connections can be opened (%s); raise the limit, see ulimit -n", error)
            self._at_limit = True
            return
        if self._at_limit:
            log.info("files and connections can be opened again")
        self._at_limit = False
