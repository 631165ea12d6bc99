"""What all pages have in common: templates, static files, and the headers that nothing gets past."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from hotfire.console import formats
from hotfire.console.visits import Page, Route, Visit
from hotfire.region.visitor import Visitor
from hotfire.region.wire import Response

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),  # without any, a form's Origin is null, as that of a page elsewhere
)
PRIVATE = ("cache-control", "no-store")
NAVIGATION = (("Endpoints", "/"), ("Requests", "/requests"), ("API", "/api"))
"""What every page leads to."""

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_LAYOUTS = ("endpoint_base.html", "base.html")
"""Templates that others are made of."""
_INERT = "default-src 'none'; sandbox"


class Frame:
    """Draws pages."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """The static files, which strangers see too."""
        return (Route("GET", "/static/{file}", self._static, is_open=True),)

    def respond(self, visit: Visit, page: Page) -> Response:
        """The page as an answer."""
        text = self._templates.get_template(page.template).render(self._context(visit, page))
        return html(page.status, text)

    def blocks(self, visit: Visit, page: Page) -> dict[str, str]:
        """The blocks of a page that are live, as they look now."""
        context = self._context(visit, page)
        return {f"live-{name}": self._block(page, name, context) for name in page.live}

    def lines(self, visit: Visit, page: Page, lines: Any) -> str:
        """Lines that are added to a page."""
        return self._block(page, "lines", self._context(visit, page) | {"lines": lines})

    def _block(self, page: Page, name: str, context: dict[str, Any]) -> str:
        templates = map(self._templates.get_template, (page.template, *_LAYOUTS))
        template = next(one for one in templates if name in one.blocks)
        return "".join(template.blocks[name](template.new_context(context)))

    def _context(self, visit: Visit, page: Page) -> dict[str, Any]:
        is_live = bool(page.live or page.tail)
        return {
            "visitor": visit.visitor or Visitor(),
            "path": visit.request.path,
            "navigation": NAVIGATION,
            "live": f"/live?{urlencode({'page': visit.address})}" if is_live else "",
            **page.values,
        }

    def _static(self, visit: Visit) -> Response:
        found = self._files.get(visit.places["file"])
        if found is None:
            return plain(404, "There is no such file.\n")
        kind, tag, body = found
        caching = (("cache-control", "no-cache"), ("etag", tag))
        if visit.request.headers.get("if-none-match") == tag:
            return Response(304, (*HEADERS, *caching), b"")
        return Response(200, (("content-type", f"{kind}; charset=utf-8"), *HEADERS, *caching), body)

    @cached_property
    def _files(self) -> Mapping[str, tuple[str, str, bytes]]:
        """The static files by their names: type, tag and content."""
        found = {}
        for file in files("hotfire.console").joinpath("static").iterdir():
            kind, body = _TYPES.get(file.name.rpartition(".")[2]), file.read_bytes()
            if kind is not None:
                found[file.name] = kind, f'"{hashlib.sha256(body).hexdigest()[:16]}"', body
        return found

    @cached_property
    def _templates(self) -> Environment:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("hotfire.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= formats.FILTERS
        return environment


def html(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """A page that is drawn."""
    kind = ("content-type", "text/html; charset=utf-8")
    return Response(status, (kind, *HEADERS, PRIVATE, *headers), text.encode("utf-8", "replace"))


def plain(status: int, text: str) -> Response:
    """A few words, for programs."""
    return Response(status, (("content-type", "text/plain; charset=utf-8"), *HEADERS, PRIVATE), text.encode())


def redirect(address: str, *headers: tuple[str, str]) -> Response:
    """Go on elsewhere here, by GET."""
    return Response(303, (("location", address), *HEADERS, PRIVATE, *headers), b"")


def download(name: str, body: bytes, content_type: str = "text/plain; charset=utf-8") -> Response:
    """Bytes that are kept as a file, and that no browser takes for anything to run or to show."""
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    headers: Mapping[str, str] = {
        "content-type": content_type,
        "content-disposition": disposition,
        "content-security-policy": _INERT,
        "x-content-type-options": "nosniff",
    }
    return Response(200, (*headers.items(), PRIVATE), body)
