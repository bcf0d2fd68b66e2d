"""The application: every route, and who may use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_ad_line.line import Line
from edge_ad_line.web.access import Access, Role, User
from edge_ad_line.web.answers import ON_ERROR, WithHeaders, json_answer
from edge_ad_line.web.artifacts import Artifacts
from edge_ad_line.web.event_stream import EventStream
from edge_ad_line.web.inference import Inference
from edge_ad_line.web.page import Page
from edge_ad_line.web.requests import query_of
from edge_ad_line.web.results import Results
from edge_ad_line.web.work import Work
from edge_ad_runtime.errors import ConfigError

Endpoint = Callable[[Request, User], Awaitable[Response]]


def create_app(line: Line) -> Starlette:
    """The application of a line that is open.

    Raises:
        ConfigError: there is no ``[web]``, or its tokens cannot be used, or there are none and
            others could reach the device.
    """
    if line.config.web is None:
        raise ConfigError("there is no [web] in the configuration")
    access = Access.of(line.config.web)
    # a request that is scored holds its body: 8 of them at most, 2 at work
    scoring, reading = Work(threads=2, most=8), Work(threads=4, most=64)
    page, results = Page(access), Results(line, scoring, reading)
    artifacts, inference = Artifacts(line, reading), Inference(line, scoring)
    events = EventStream(line.events)

    async def status(request: Request, user: User) -> Response:
        query_of(request, ())
        async with reading as work:
            return json_answer(await work.run(line.status))

    async def metrics(request: Request, user: User) -> Response:
        async with reading as work:
            text = await work.run(lambda: generate_latest(line.metrics.registry))
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def route(path: str, endpoint: Endpoint, role: Role, method: str = "GET") -> Route:
        return Route(path, _guarded(endpoint, access, role), methods=[method])

    part, result, model = "/v1/parts/{part}", "/v1/results/{id}", "/v2/models/{part}"
    routes = [
        Route("/", page.file),
        Route("/static/{name:path}", page.file),
        Route("/v1/session", page.sign_in, methods=["POST"]),
        Route("/v1/session", page.sign_out, methods=["DELETE"]),
        route("/v1/session", page.who, "viewer"),
        route(f"{part}/score", results.score, "operator", "POST"),
        route(f"{part}/trigger", results.trigger, "operator", "POST"),
        route("/v1/results", results.results, "viewer"),
        route(result, results.result, "viewer"),
        route(f"{result}/image", results.image, "viewer"),
        route(f"{result}/overlay", results.overlay, "viewer"),
        route(f"{result}/review", results.review, "operator", "POST"),
        route("/v1/review", results.review_queue, "viewer"),
        route("/v1/events", events, "viewer"),
        route("/v1/status", status, "viewer"),
        route(f"{part}/artifact", artifacts.artifacts, "viewer"),
        route(f"{part}/artifact", artifacts.upload, "engineer", "POST"),
        route(f"{part}/artifact/promote", artifacts.promote, "engineer", "POST"),
        route(f"{part}/artifact/rollback", artifacts.roll_back, "engineer", "POST"),
        route("/v1/audit", artifacts.audit, "engineer"),
        route("/metrics", metrics, "viewer"),
        Route("/v2/health/live", inference.live),
        Route("/v2/health/ready", inference.ready),
        route("/v2", inference.server, "viewer"),
        route(model, inference.model, "viewer"),
        route(f"{model}/ready", inference.model_ready, "viewer"),
        route(f"{model}/infer", inference.infer, "operator", "POST"),
        route(f"{model}/versions/{{version}}", inference.model, "viewer"),
        route(f"{model}/versions/{{version}}/ready", inference.model_ready, "viewer"),
        route(f"{model}/versions/{{version}}/infer", inference.infer, "operator", "POST"),
    ]
    return Starlette(
        routes=routes, middleware=[Middleware(WithHeaders)], exception_handlers=ON_ERROR
    )


def _guarded(
    endpoint: Endpoint, access: Access, role: Role
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        user = access.user(request)
        if not user.may(role):
            return json_answer(
                {"error": f"this needs the role {role}, and {user.name} is {user.role}"}, 403
            )
        return await endpoint(request, user)

    return guarded
