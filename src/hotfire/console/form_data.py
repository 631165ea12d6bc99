"""What a browser sends of a form: its fields, and the files among them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from hotfire.app_inputs import Upload, kind_of_bytes
from hotfire.region.wire import Request

_MOST_PARTS = 20_000
_BOUNDARY = re.compile(r'multipart/form-data;.*?boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class FormData:
    """Texts, and files that were chosen, by the names of their fields; lines end by a newline alone."""

    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Upload] = field(default_factory=dict)


def form_data(request: Request) -> FormData:
    """The form that a request brings; what is not one is empty."""
    boundary = _BOUNDARY.match(request.headers.get("content-type", ""))
    if boundary is None:
        pairs = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return FormData({name: _plain(text) for name, text in pairs})
    fields: dict[str, str] = {}
    files: dict[str, Upload] = {}
    for name, filename, kind, data in _parts(request.body, (boundary[1] or boundary[2]).encode("latin-1")):
        if filename is None:
            fields[name] = _plain(data.decode("utf-8", "replace"))
        elif filename or data:  # a browser sends an empty one where none was chosen
            files[name] = Upload(data, kind if kind and kind != _UNKNOWN else kind_of_bytes(data))
    return FormData(fields, files)


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, str | None, str, bytes]]:
    """Of each part its name, the name of its file if it is one, its content type and its data."""
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, _MOST_PARTS)
    for part in parts:
        head, found, data = part.partition(b"\r\n\r\n")
        if part.startswith(b"--") or not found:
            return
        lines = (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        disposition = headers.get("content-disposition", "")
        name, filename = _parameter(disposition, "name"), _parameter(disposition, "filename")
        if name is not None:
            yield name, filename, headers.get("content-type", ""), data


def _parameter(disposition: str, name: str) -> str | None:
    """A parameter as browsers write it: a quote in it is %22, a line's end %0D%0A."""
    match = re.search(rf'[;\s]{name}="([^"]*)"', disposition)
    if match is None:
        return None
    return match[1].replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")
