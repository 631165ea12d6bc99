"""A request's fields, as TorchServe hands them to the toolkit, which looks at the one named `body`.

A body that is no form is that field. Those of a form, and of the query, stand beside it, each with its
own content type.
"""

import urllib.parse
from typing import Any, Dict, Iterator, Tuple

Fields = Dict[str, Tuple[str, bytearray]]
"""Content type and value by name."""

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/"


def read_fields(content_type: str, query: str, body: bytearray) -> Fields:
    """The fields of a request; a later one of the same name wins, the body's over the query's."""
    fields: Fields = {}
    if query:
        fields.update(_pairs(query))
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _FORM:
        fields.update(_pairs(body.decode("utf-8", "replace")))
    elif kind.startswith(_MULTIPART):
        fields.update(_parts(content_type, body))
    else:
        fields["body"] = (content_type, body)
    return fields


def _pairs(text: str) -> Iterator[Tuple[str, Tuple[str, bytearray]]]:
    for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True):
        yield name, ("", bytearray(value.encode()))


def _parts(content_type: str, body: bytearray) -> Iterator[Tuple[str, Tuple[str, bytearray]]]:
    import email.parser
    import email.policy

    head = "Content-Type: " + content_type + "\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head.encode() + bytes(body))
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if name is not None:
            kind = part.get_content_type() if part["content-type"] else ""
            payload: Any = part.get_payload(decode=True)
            yield str(name), (kind, bytearray(payload or b""))
