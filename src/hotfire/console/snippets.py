"""One request as programs that can be pasted: they send the very bytes that the page sends."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hotfire.address import REGION_NAME
from hotfire.app_inputs import Upload
from hotfire.app_schema import App, Body, Values
from hotfire.errors import InputError

_LONGEST = 2_000
"""Characters of a body that stands in a snippet; a longer one is a file beside it."""
_PLAIN = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]*")
_EXTENSIONS: Mapping[str, str] = {
    "application/json": "json",
    "application/jsonlines": "jsonl",
    "text/csv": "csv",
    "text/plain": "txt",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "application/x-npy": "npy",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request to an endpoint of the region at `url`, and whatever of it is not its body.

    `plain` is the same as JSON for the public API, if that brings the model the same body; `needs_key` is
    whether it wants a key there, and `key` the one that the reader has, if it is known.
    """

    url: str
    endpoint: str
    body: Body
    accept: str = ""
    attributes: str = ""
    variant: str = ""
    plain: str | None = None
    needs_key: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A program's text, and what it wants to be there: a file with these bytes, if it names one."""

    name: str
    text: str
    needs: str
    file: str = ""
    data: bytes = b""


def plain_of(app: App, values: list[Values], body: Body) -> str | None:
    """The inputs as JSON for the public API; None unless they come to the same body there."""
    items = [{name: _as_json(value) for name, value in one.items()} for one in values]
    given: Any = items if len(items) > 1 else items[0]
    if app.is_body and not isinstance(next(iter(values[0].values())), Upload):
        given = next(iter(items[0].values()))
    try:
        again = app.bodies_of(app.read(given)[0])
    except InputError:
        return None
    return json.dumps(given, ensure_ascii=False) if again == [body] and _is_plain(given) else None


def snippets(call: Call, *, is_owner: bool) -> list[Snippet]:
    """The programs for somebody who has the region's key, or but a key of the public API."""
    found = [_curl(call), _boto3(call)] if is_owner else []
    # What the public API has no word for.
    if call.plain is not None and not (call.variant or call.attributes):
        found.append(_python(call, call.plain))
        if not is_owner:
            found.append(_api_curl(call, call.plain))
    return found


_SHELL = 'In a shell after: eval "$(hotfire env)"'
_KEY = "With HOTFIRE_KEY set to your key of the public API."


def _curl(call: Call) -> Snippet:
    text, file = _inline(call.body.body), _file(call)
    data = f"--data-raw {shlex.quote(text)}" if text is not None else f"--data-binary @{file}"
    headers = {"Content-Type": call.body.content_type, **_headers(call)}
    lines = [
        f"curl {shlex.quote(f'{call.url}/endpoints/{quote(call.endpoint)}/invocations')}",
        f"--aws-sigv4 aws:amz:{REGION_NAME}:sagemaker",
        '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"',
        *(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()),
        data,
    ]
    return _with_file(Snippet("curl", " \\\n  ".join(lines), _SHELL), text is None, file, call.body.body)


def _boto3(call: Call) -> Snippet:
    text, file = _inline(call.body.body), _file(call)
    body = f"{text!r}.encode()" if text is not None else f"Path({file!r}).read_bytes()"
    given = {
        "EndpointName": call.endpoint,
        "ContentType": call.body.content_type,
        "Accept": call.accept,
        "CustomAttributes": call.attributes,
        "TargetVariant": call.variant,
    }
    lines = [
        *(("from pathlib import Path", "") if text is None else ()),
        "import boto3",
        "",
        f'runtime = boto3.client("sagemaker-runtime", endpoint_url={_quoted(call.url)}, '
        f"region_name={_quoted(REGION_NAME)})",
        "answer = runtime.invoke_endpoint(",
        *(f"    {name}={_quoted(value)}," for name, value in given.items() if value),
        f"    Body={body},",
        ")",
        'print(answer["Body"].read())',
    ]
    return _with_file(Snippet("boto3", "\n".join(lines), _SHELL), text is None, file, call.body.body)


def _python(call: Call, plain: str) -> Snippet:
    data, file = plain.encode(), f"{call.endpoint}-input.json"
    is_long = len(plain) > _LONGEST
    body = f"Path({file!r}).read_bytes()" if is_long else f"{plain!r}.encode()"
    headers = ['    "Content-Type": "application/json",']
    if call.needs_key:
        headers.append('    "Authorization": "Bearer " + os.environ["HOTFIRE_KEY"],')
    lines = [
        "import json",
        *(("import os",) if call.needs_key else ()),
        "import urllib.request",
        *(("from pathlib import Path",) if is_long else ()),
        "",
        f"address = {_quoted(_api(call))}",
        "headers = {",
        *headers,
        "}",
        f"body = {body}",
        "request = urllib.request.Request(address, body, headers)",
        "with urllib.request.urlopen(request) as answer:",
        "    print(json.load(answer))",
    ]
    needs = _key_of(call) or "By the public API, with nothing but Python."
    return _with_file(Snippet("Python", "\n".join(lines), needs), is_long, file, data)


def _api_curl(call: Call, plain: str) -> Snippet:
    is_long, file = len(plain) > _LONGEST, f"{call.endpoint}-input.json"
    lines = [
        f"curl {shlex.quote(_api(call))}",
        "-H 'Content-Type: application/json'",
        *(('-H "Authorization: Bearer $HOTFIRE_KEY"',) if call.needs_key else ()),
        f"--data-binary @{file}" if is_long else f"--data-raw {shlex.quote(plain)}",
    ]
    needs = _key_of(call) or "By the public API, in any shell."
    return _with_file(Snippet("curl", " \\\n  ".join(lines), needs), is_long, file, plain.encode())


def _key_of(call: Call) -> str:
    """Where the key comes from, if one is needed."""
    if not call.needs_key:
        return ""
    return f"In a shell after: export HOTFIRE_KEY={call.key}" if call.key else _KEY


def _api(call: Call) -> str:
    return f"{call.url}/api/models/{quote(call.endpoint)}/predict"


def _with_file(snippet: Snippet, wants: bool, file: str, data: bytes) -> Snippet:
    return Snippet(snippet.name, snippet.text, snippet.needs, file, data) if wants else snippet


def _headers(call: Call) -> dict[str, str]:
    headers = {
        "Accept": call.accept,
        "X-Amzn-SageMaker-Custom-Attributes": call.attributes,
        "X-Amzn-SageMaker-Target-Variant": call.variant,
    }
    return {name: value for name, value in headers.items() if value}


def _inline(body: bytes) -> str | None:
    """The body as it stands in a program; None of what is long or no text."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if text and len(text) <= _LONGEST and _is_plain(text) else None


def _is_plain(value: Any) -> bool:
    """Whether a text holds nothing that a shell or a terminal would take for something else."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _PLAIN.fullmatch(text) is not None


def _file(call: Call) -> str:
    kind = call.body.content_type.partition(";")[0].strip().lower()
    return f"{call.endpoint}-request.{_EXTENSIONS.get(kind, 'bin')}"


def _quoted(text: str) -> str:
    """As a program of Python's has it."""
    return json.dumps(text)


def _as_json(value: Any) -> Any:
    return value.base64 if isinstance(value, Upload) else value
