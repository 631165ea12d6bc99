"""The server before Ray Serve in AWS's image, as far as a client or a handler can tell it from another.

It stands in for the image's own, `sagemaker_serve.py`, and is made of the same libraries: what FastAPI and
httpx do to an answer is a part of what is tested. Run by uvicorn; the address behind it is in BACKEND.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

SECONDS = 300
OWN = "x-amzn-sagemaker-"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    """Pass on the body, two headers, which have a default, and those of SageMaker; both ways."""
    accept = request.headers.get("accept", "application/json")
    headers = {name: value for name, value in request.headers.items() if name.startswith(OWN)}
    headers |= {"Content-Type": request.headers.get("content-type", "application/json"), "Accept": accept}
    try:
        body = await request.body()
        answer = await app.state.client.post(f"{os.environ['BACKEND']}/", content=body, headers=headers)
    except httpx.TimeoutException:
        return failed(504, "Request timeout")
    except httpx.ConnectError:
        return failed(503, "Service unavailable")
    except Exception as error:  # noqa: BLE001  # the image does so, too
        return failed(500, str(error))
    return Response(
        answer.content,
        answer.status_code,
        {name: value for name, value in answer.headers.items() if name.startswith(OWN)},
        answer.headers.get("content-type", accept),
    )


@app.get("/ping")
async def ping() -> Response:
    """Whether Ray's own proxy is well, which says nothing of the model."""
    try:
        # At the port itself: an application's prefix is no part of this.
        origin = httpx.URL(os.environ["BACKEND"]).copy_with(path="/-/healthz")
        answer = await app.state.client.get(origin, timeout=5)
    except httpx.HTTPError:
        return PlainTextResponse("", 503)
    return PlainTextResponse("", 200 if answer.status_code == 200 else 503)


def failed(status: int, message: str) -> Response:
    return Response(json.dumps({"error": message}), status, media_type="application/json")
