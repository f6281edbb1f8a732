"""The ASGI application: async at the edge, plain functions in a bounded pool of threads behind it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import falcon
import falcon.asgi
import structlog

from pilvi.access_rules import permitted
from pilvi.faults import BadRequest, Fault, Forbidden, MethodNotAllowed, NotFound, TooLarge, Unauthorized
from pilvi.http.request import Request, Response, encode
from pilvi.http.routing import Api, Route, plain_fault, version

if TYPE_CHECKING:
    from pilvi.cloud import Cloud

log = structlog.get_logger()

MAX_BODY_BYTES = 1 << 20  # of a JSON request; streams are bounded by their own handlers
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def build_app(cloud: Cloud, apis: list[Api], pool: ThreadPoolExecutor) -> falcon.asgi.App:
    app = App()
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.auto_parse_form_urlencoded = False
    for api in apis:
        by_path: dict[str, dict[str, list[Route]]] = defaultdict(lambda: defaultdict(list))
        for route in api.routes:
            if route.action is not None and route.action not in api.policy:
                raise LookupError(f"{api.name}: {route.method} {route.path}: no policy for {route.action!r}")
            by_path[route.path][route.method].append(route)
        for path, methods in by_path.items():
            app.add_route((api.prefix + path).rstrip("/") or "/", Resource(cloud, api, methods, pool))
    app.add_sink(Unknown(cloud, apis), prefix="/")
    app.add_error_handler(Exception, _unexpected)
    return app


class App(falcon.asgi.App):
    """Notes in the scope when a client goes away, which Falcon's body stream shows as the end of the body."""

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        async def watched() -> Any:
            event = await receive()
            if event["type"] == "http.disconnect":
                scope[_GONE] = True
            return event

        await super().__call__(scope, watched, send)


_GONE = "pilvi.disconnected"


class Resource:
    """One path of one API: finds the route for a method and microversion, and calls it."""

    def __init__(self, cloud: Cloud, api: Api, methods: dict[str, list[Route]], pool: ThreadPoolExecutor):
        self._cloud, self._api, self._pool = cloud, api, pool
        self._allow = ", ".join(sorted(methods))
        for method in METHODS:
            routes = methods.get(method) or (methods.get("GET", []) if method == "HEAD" else [])
            setattr(self, "on_" + method.lower(), self._responder([_Compiled(route, api) for route in routes]))

    def _responder(self, routes: list[_Compiled]) -> Callable[..., Any]:
        cloud, api, pool = self._cloud, self._api, self._pool

        async def respond(req: falcon.asgi.Request, resp: falcon.asgi.Response, **params: str) -> None:
            request = make_request(cloud, req, params)
            try:
                if "\0" in request.path:  # which no database takes
                    raise NotFound("The resource could not be found.")
                if api.strict_slash and req.scope["path"].endswith("/") and req.path.count("/") > 2:
                    raise NotFound("The resource could not be found.")
                if not routes:
                    raise MethodNotAllowed(f"The method {req.method} is not allowed for this resource.",
                                           headers={"Allow": self._allow})
                if api.microversions is not None:
                    request.version = api.microversions.negotiate(request.headers)
                route = _pick(routes, request)
                if route.stream:
                    request.stream = _chunks(req)
                    answer = await _call_stream(route, request, pool)
                    resp.data = encode(answer.body)
                else:
                    if req.method not in ("GET", "HEAD", "DELETE") or req.content_length:
                        request.body = await _read(req)
                    answer, data = await asyncio.get_running_loop().run_in_executor(pool, _call, route, request)
                    resp.data = data
            except Fault as fault:
                answer = fault_response(fault, api, request)
                resp.data = encode(answer.body)
            _fill(resp, answer, request, api)

        return respond


class _Compiled:
    """A route, with what needs to be looked up only once."""

    __slots__ = ("action", "handler", "prefix", "rule", "service", "since", "stream", "until")

    def __init__(self, route: Route, api: Api):
        self.service, self.prefix = api.name, api.prefix
        self.handler, self.stream, self.action = route.handler, route.stream, route.action
        self.rule = api.policy[route.action] if route.action is not None else None
        self.since = version(route.since) if route.since else (0, 0)
        self.until = version(route.until) if route.until else (999, 999)


class Unknown:
    """Paths that nobody answers."""

    def __init__(self, cloud: Cloud, apis: list[Api]):
        self._cloud, self._apis = cloud, [api for api in apis if api.prefix]

    async def __call__(self, req: falcon.asgi.Request, resp: falcon.asgi.Response | None,
                       ws: falcon.asgi.WebSocket | None = None, **_: Any) -> None:
        if ws is not None:
            return await ws.close()
        request = make_request(self._cloud, req, {})
        api = next((api for api in self._apis if (req.path + "/").startswith(api.prefix + "/")), None)
        answer = fault_response(NotFound("The resource could not be found."), api, request)
        resp.data = encode(answer.body)
        return _fill(resp, answer, request, api)


def make_request(cloud: Cloud, req: falcon.asgi.Request, params: dict[str, str]) -> Request:
    headers = req.headers  # names in lower case, as ASGI has them
    base = f"{req.scope.get('scheme', 'http')}://{headers.get('host', '')}"
    client = (req.scope.get("client") or ("", 0))[0]
    return Request(cloud, req.method, base, req.path, req.query_string, headers, params, b"",
                   "req-" + cloud.ids.uuid(), client)


def _pick(routes: list[_Compiled], request: Request) -> _Compiled:
    for route in routes:
        if route.since <= request.version <= route.until:
            return route
    raise NotFound("The resource could not be found: not in this microversion.")


def authorize(route: _Compiled, request: Request) -> None:
    """Raises Unauthorized, Forbidden, and NotFound for a path parameter that nothing can be called."""
    for value in request.params.values():
        if "\0" in value:
            raise NotFound("The resource could not be found.")
    if route.rule is None:
        return
    token = token_of(request)
    if not token:
        raise unauthorized(request, "The request you have made requires authentication.")
    try:
        request.context = request.cloud.identity.authenticate(token, request.id)
    except Unauthorized as fault:
        raise unauthorized(request, fault.message) from None
    rules = request.context.access_rules
    if rules is not None and not permitted(rules, route.service, route.prefix, request.method, request.path):
        raise unauthorized(request, "The application credential's access rules do not allow this request.")
    if not request.context.permits(route.rule):
        raise Forbidden(f"Policy doesn't allow {route.action} to be performed: it takes the role {route.rule.value}.")


def token_of(request: Request) -> str:
    """The caller's token: OpenStack's own header, or OAuth 2's (RFC 6750)."""
    if token := request.headers.get("x-auth-token"):
        return token
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def unauthorized(request: Request, message: str) -> Unauthorized:
    return Unauthorized(message, headers={"WWW-Authenticate": f'Keystone uri="{request.base_url}/identity"'})


def _call(route: _Compiled, request: Request) -> tuple[Response, bytes | None]:
    authorize(route, request)
    answer = route.handler(request)
    return answer, encode(answer.body)


async def _call_stream(route: _Compiled, request: Request, pool: ThreadPoolExecutor) -> Response:
    await asyncio.get_running_loop().run_in_executor(pool, authorize, route, request)
    return await route.handler(request)


async def _read(req: falcon.asgi.Request) -> bytes:
    if (req.content_length or 0) > MAX_BODY_BYTES:
        raise TooLarge(f"The request body is larger than {MAX_BODY_BYTES} bytes.", headers={"Connection": "close"})
    parts, size = [], 0
    async for part in _chunks(req):
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"The request body is larger than {MAX_BODY_BYTES} bytes.", headers={"Connection": "close"})
        parts.append(part)
    return b"".join(parts)


async def _chunks(req: falcon.asgi.Request) -> AsyncIterator[bytes]:
    """The body in parts; raises BadRequest when the client goes away, or ends it before its announced length."""
    got = 0
    async for part in req.stream:
        got += len(part)
        yield part
    if req.scope.get(_GONE):
        raise BadRequest(f"The client went away after {got} bytes of the request body.")
    if req.content_length is not None and got < req.content_length:
        raise BadRequest(f"The request body ended after {got} of {req.content_length} bytes.")


def fault_response(fault: Fault, api: Api | None, request: Request) -> Response:
    body = plain_fault(fault) if api is None else api.fault(fault)
    if isinstance(body, Response):
        body.headers.update(fault.headers)
        return body
    return Response(fault.status, body, dict(fault.headers))


def _fill(resp: falcon.asgi.Response, answer: Response, request: Request, api: Api | None) -> None:
    resp.status = answer.status
    headers = {"x-openstack-request-id": request.id, **answer.headers}
    if api is not None:
        if api.microversions is not None:
            headers.update(api.microversions.headers(max(request.version, api.microversions.lowest)))
        if api.extra_headers is not None:
            headers.update(api.extra_headers(request.id))
    resp.set_headers(headers)
    if answer.stream is not None:
        resp.content_type = answer.content_type
        resp.set_stream(answer.stream, answer.length or 0) if answer.length is not None else setattr(
            resp, "stream", answer.stream)
    elif resp.data is not None:
        resp.content_type = answer.content_type


async def _unexpected(req: falcon.asgi.Request, resp: falcon.asgi.Response | None, error: Exception, _params: Any,
                      ws: falcon.asgi.WebSocket | None = None) -> None:
    """Whatever nobody foresaw: logged with its trace, answered without it."""
    if isinstance(error, falcon.HTTPError):
        fault = Fault(error.description or error.title or "")
        fault.status, fault.title = int(str(error.status)[:3]), error.title or ""
    else:
        log.error("a request failed unexpectedly", method=req.method, path=req.path, exc_info=error)
        fault = Fault("An unexpected error prevented the server from fulfilling your request; its log has the cause.")
    if ws is not None:
        return await ws.close()
    resp.status = fault.status
    resp.content_type = "application/json"
    resp.data = encode(plain_fault(fault))
    return None
