"""How soon the console's pages are there, in Chromium, and how large the first one is.

A region with endpoints and recorded requests. Each page is opened anew by a browser that has nothing in its
cache; what is told is the time from the click to the page's `load` event, by the browser's own clock.

    python benchmarks/console.py [--rounds 20] [--requests 500] [--json FILE]
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import boto3
from playwright.sync_api import Browser, sync_playwright
from report import Report, Row, parser
from serving import ECHO, handler_project, hotfire

from hotfire.address import Address, find

ENDPOINTS = ("alpha", "beta", "gamma")
PAGES = {
    "endpoints": "/",
    "requests": "/requests",
    "one request": "/requests/1",
    "logs": "/e/alpha/logs",
    "charts": "/e/alpha/charts",
    "a model": "/e/alpha",
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
TOOK = (
    "() => { const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime }"
)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=20, help="how often each page is opened (20)")
    options.add_argument("--requests", type=int, default=500, help="recorded before (500)")
    given = options.parse_args()
    report = Report("The console's pages, nothing in the browser's cache")
    with tempfile.TemporaryDirectory() as top, contextlib.ExitStack() as stack:
        folder = Path(top)
        os.environ["HOTFIRE_HOME"] = str(folder / "home")
        hotfire("up", folder=folder)
        stack.callback(hotfire, "down", folder=folder)
        for name in ENDPOINTS:
            handler_project(folder, name, ECHO, 1)
        region = find(folder / "home")
        assert region is not None
        send(region, given.requests)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        stack.callback(browser.close)
        measure(browser, region, given.rounds, report)
    report.finish(given.json)


def measure(browser: Browser, region: Address, rounds: int, report: Report) -> None:
    """Open each page in turns."""
    state = entered(browser, region)
    times: dict[str, list[float]] = {name: [] for name in PAGES}
    sizes: list[float] = []
    for _ in range(rounds):
        for name, path in PAGES.items():
            seconds, size = opened(browser, region.url + path, state)
            times[name].append(seconds)
            if path == "/":
                sizes.append(size / 1000)
    report.add(Row("size of the first page with all it needs", sizes, "KB", at_most=100))
    for name, values in times.items():
        report.add(Row(name, values, "ms", at_most=100 if name == "endpoints" else None))


def send(region: Address, count: int) -> None:
    """Have so many requests recorded."""
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=region.url,
        region_name="us-east-1",
        aws_access_key_id=region.key.access_key,
        aws_secret_access_key=region.key.secret_key,
    )
    for number in range(count):
        name = ENDPOINTS[number % len(ENDPOINTS)]
        client.invoke_endpoint(EndpointName=name, Body=b'["a"]', ContentType="application/json")
    client.close()


def entered(browser: Browser, region: Address) -> Any:
    """The cookies of a browser that was let in."""
    context = browser.new_context()
    token = region.call("POST", "/_hotfire/entry")["token"]
    context.new_page().goto(f"{region.url}/?entry={token}")
    state = context.storage_state()
    context.close()
    return state


def opened(browser: Browser, address: str, state: Any) -> tuple[float, int]:
    """How long a page took, in milliseconds, and the bytes of all bodies that came for it."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    requests: list[Any] = []
    page.on("requestfinished", lambda request: requests.append(request))
    page.goto(address, wait_until="load")
    took = page.evaluate(TOOK)
    size = sum(request.sizes()["responseBodySize"] for request in requests)
    context.close()
    return took, size


if __name__ == "__main__":
    main()
