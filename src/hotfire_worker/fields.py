"""A request's fields, as TorchServe hands them to the toolkit, which looks at the one named `body`.

A body that is no form is that field. Those of a form, and of the query, stand beside it, each with its
own content type. Forms are read by the rules of Netty, on which TorchServe stands: stricter than most in
how a part must end, laxer in what stands around it.
"""

import re
import urllib.parse
from typing import Dict, Iterator, List, Optional, Tuple

Fields = Dict[str, Tuple[str, bytearray]]
"""Content type and value by name."""

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_BINARY = "application/octet-stream"
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUERY_PARTS = re.compile("[&;]")


class BadRequest(Exception):
    """A request whose fields cannot be read: the status and the kind of error that it is answered with."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message


def read_fields(content_type: str, query: str, body: bytearray) -> Fields:
    """The fields of a request; a later one of the same name wins, the body's over the query's.

    Raises BadRequest.
    """
    fields: Fields = {name: ("", bytearray(value.encode())) for name, value in read_query("?" + query)}
    kind = content_type.partition(";")[0]
    boundary = _boundary(content_type) if content_type.startswith(_MULTIPART) else None
    if boundary is not None:
        fields.update(_parts(boundary, bytes(body)))
    elif kind.lower() == _FORM:
        fields.update(_pairs(bytes(body)))
    else:
        fields["body"] = (kind, body)
    return fields


def read_query(target: str) -> List[Tuple[str, str]]:
    """The names and values of a request target's query; raises BadRequest if an escape in it is broken."""
    path, _, query = target.partition("#")[0].partition("?")
    start = len(path) + 1
    pairs = []
    for part in _QUERY_PARTS.split(query):
        bare = part.lstrip("=")
        name, _, value = bare.partition("=")
        name_at = start + len(part) - len(bare)
        if bare:
            pairs.append((unescape(target, name_at, name), unescape(target, name_at + len(name) + 1, value)))
        start += len(part) + 1
    return pairs


def unescape(target: str, start: int, part: str, plus: str = " ") -> str:
    """A part of the target, which starts there, without its escapes; raises BadRequest if one is broken."""
    at = part.find("%")
    while at >= 0:
        digits = part[at + 1 : at + 3]
        if len(digits) < 2:
            message = f"unterminated escape sequence at index {start + at} of: {target}"
            raise BadRequest(403, "IllegalArgumentException", message)
        if not _ESCAPE.fullmatch(b"%" + digits.encode("utf-8", "replace")):
            message = f"invalid hex byte '{digits}' at index {start + at + 1} of '{target}'"
            raise BadRequest(403, "IllegalArgumentException", message)
        at = part.find("%", at + 3)
    return urllib.parse.unquote(part.replace("+", plus), errors="replace")


def _broken(message: str) -> BadRequest:
    return BadRequest(500, "ErrorDataDecoderException", message)


def _pairs(body: bytes) -> Iterator[Tuple[str, Tuple[str, bytearray]]]:
    """The fields of a form that is one line; what follows the line is not read."""
    line = body.partition(b"\n")[0].rstrip(b"\r")
    if b"\r" in line:
        raise _broken("Bad end of line")
    *pieces, last = line.split(b"&")
    if b"=" in last:  # a name alone at the very end is not read as a field
        pieces.append(last)
    for piece in pieces:
        name, _, value = piece.partition(b"=")
        yield _form_name(name.decode("utf-8", "replace")), ("", bytearray(_decoded(value)))


def _form_name(text: str) -> str:
    try:
        return _name(unescape(text, 0, text))
    except BadRequest as error:
        if error.kind == "IllegalArgumentException":
            raise _broken(f"Bad string: '{text}'") from None
        raise


def _decoded(text: bytes) -> bytes:
    for at in (found.start() for found in re.finditer(b"%", text)):
        if not _ESCAPE.match(text, at):
            message = f"Invalid hex byte at index '{at}' in string: '{text.decode('utf-8', 'replace')}'"
            raise _broken(message)
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text.replace(b"+", b" "))


def _name(text: str) -> str:
    name = text.replace("\r", " ").replace("\t", " ").strip().replace("\n", "")
    if not name:
        raise _broken("java.lang.IllegalArgumentException: empty name")
    return name


def _boundary(content_type: str) -> Optional[bytes]:
    """What separates a form's parts: the first or the second parameter of the content type."""
    first, _, second = content_type.partition(";")[2].partition(";")
    for parameter, other in ((first, second), (second, first)):
        name, _, boundary = parameter.strip().partition("=")
        if name.lower().startswith("boundary"):
            _check_charset(other)
            if not boundary:
                raise BadRequest(500, "StringIndexOutOfBoundsException", "String index out of range: 0")
            if len(boundary) > 1 and boundary[0] == boundary[-1] == '"':
                boundary = boundary[1:-1]
            return b"--" + boundary.encode("latin-1", "replace")
    return None


def _check_charset(parameter: str) -> None:
    import codecs

    name, _, charset = parameter.strip().partition("=")
    if name.lower().startswith("charset"):
        try:
            codecs.lookup(charset)
        except LookupError:
            raise BadRequest(403, "UnsupportedCharsetException", charset) from None


def _parts(boundary: bytes, body: bytes) -> Iterator[Tuple[str, Tuple[str, bytearray]]]:
    """The parts that end in a delimiter; one that the body breaks off in is not read."""
    rest = body.lstrip(bytes(range(33)) + b"\x7f")
    if not rest.startswith(boundary):
        return
    rest = rest[len(boundary) :]
    while rest[:1] == b"\n" or rest[:2] == b"\r\n":
        head, content = _split_head(rest.partition(b"\n")[2])
        if content is None:
            return
        name, kind = _read_head(head)
        end = content.find(b"\n" + boundary) if not content.startswith(boundary) else 0
        if end < 0:
            return
        value = content[:end]
        rest = content[end:].partition(boundary)[2]
        yield name, (kind, bytearray(value[:-1] if value.endswith(b"\r") else value))


def _split_head(part: bytes) -> Tuple[List[str], Optional[bytes]]:
    """A part's header lines and its content; None for the content if the headers do not end."""
    lines: List[str] = []
    while True:
        line, ended, part = part.partition(b"\n")
        if not ended:
            return lines, None
        line = line.strip()
        if not line:
            return lines, part
        lines.append(line.decode("utf-8", "replace"))


def _read_head(lines: List[str]) -> Tuple[str, str]:
    """A part's name and content type; a part that is no file has none."""
    found: Dict[str, str] = {}
    for line in lines:
        header, _, value = line.partition(":")
        header = header.strip().lower()
        if header == "content-disposition":
            found.update(_disposition(value))
        else:
            found[header] = value.partition(";")[0].strip()
    if "name" not in found:
        raise _broken(_NO_NAME)
    name = _name(found["name"])
    if "filename" not in found:
        return name, ""
    encoding = found.get("content-transfer-encoding", "7bit")
    if encoding.lower() not in ("7bit", "8bit", "binary"):
        raise _broken("TransferEncoding Unknown: " + encoding)
    return name, found.get("content-type", _BINARY)


def _disposition(value: str) -> Dict[str, str]:
    kind, *parameters = _split_quoted(value)
    if kind.strip().lower() != "form-data":
        return {}
    found = {}
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        found[_clean(name).lower().rstrip("*")] = _clean(text)
    return found


def _split_quoted(text: str) -> List[str]:
    """Split at each semicolon that is not in quotes."""
    return re.findall(r'(?:[^;"\\]|\\.|"(?:[^"\\]|\\.)*"|["\\])+', text) or [""]


def _clean(text: str) -> str:
    """Without quotes; what separates words in a header becomes a space."""
    return re.sub("[:,=;\t]", " ", text.replace('"', "")).strip()


_NO_NAME = (
    'java.lang.NullPointerException: Cannot invoke "io.netty.handler.codec.http.multipart.Attribute.'
    'getValue()" because "nameAttribute" is null'
)
"""What AWS's stack says of a part without a name."""
