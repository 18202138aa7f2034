"""Whether a page from elsewhere may ask this server, told to its browser in the headers of CORS. Off by default."""

from collections.abc import Callable, Collection

from tidegate_server.access.principal import Principal
from tidegate_server.web.message import Headers, Request, Respond, Response
from tidegate_server.web.request_parser import CheckHead

ANY = "*"
MAX_AGE_SECONDS = 600
_SENT = "authorization, content-type, content-encoding, inference-header-content-length, traceparent, x-api-key"
_READ = "inference-header-content-length, retry-after, x-tidegate-served-by"
_PREFLIGHT: Headers = (
    ("access-control-allow-methods", "GET, POST"),
    ("access-control-allow-headers", _SENT),
    ("access-control-max-age", str(MAX_AGE_SECONDS)),
)

Handler = Callable[[Request, Respond], None]


class Cors:
    """Around a server's handler. Keys are as needed as ever; cookies aren't known here."""

    def __init__(self, origins: Collection[str]) -> None:
        """`origins`: `https://app.example`, or `*` for all."""
        self._origins = frozenset(origins)

    def around(self, handler: Handler) -> Handler:
        """Answers what browsers ask ahead, before anybody is asked for a key."""

        def handle(request: Request, respond: Respond) -> None:
            allowed = self._headers(request.headers)
            if not allowed:
                handler(request, respond)
            elif request.method == b"OPTIONS" and b"access-control-request-method" in request.headers:
                respond(Response(204, b"", (*allowed, *_PREFLIGHT)))
            else:
                handler(request, lambda response: respond(response.with_headers(*allowed)))

        return handle

    def around_head(self, check: CheckHead) -> CheckHead:
        """A page may read why its request was refused."""

        def checked(target: bytes, headers: dict[bytes, bytes]) -> Principal | Response:
            found = check(target, headers)
            return found.with_headers(*self._headers(headers)) if isinstance(found, Response) else found

        return checked

    def _headers(self, sent: dict[bytes, bytes]) -> Headers:
        """Empty for requests that no page sends, and for pages that may not."""
        origin = sent.get(b"origin", b"").decode("latin-1")
        if not origin or not ({ANY, origin} & self._origins):
            return ()
        is_any = ANY in self._origins
        allowed = (("access-control-allow-origin", ANY if is_any else origin), ("access-control-expose-headers", _READ))
        return allowed if is_any else (*allowed, ("vary", "origin"))
