"""Forms as browsers send them."""

import pytest

from hotfire.app_inputs import Upload
from hotfire.console.form_data import FormData, form_data
from hotfire.region.wire import Request

BINARY = bytes(range(256)) + b"\r\n--b\r\n\n--bx\r\n"


def sent(body: bytes, content_type: str) -> FormData:
    return form_data(Request("POST", "/e/m", "", {"content-type": content_type}, body))


def part(head: str, data: bytes) -> bytes:
    return f"--boundary\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"


def multipart(*parts: bytes) -> FormData:
    return sent(b"".join(parts) + b"--boundary--\r\n", "multipart/form-data; boundary=boundary")


def test_fields_of_a_plain_form() -> None:
    data = sent(b"text=a+b%26c&empty=&line=1%0D%0A2", "application/x-www-form-urlencoded")
    assert data == FormData({"text": "a b&c", "empty": "", "line": "1\n2"})


def test_fields_and_files_of_several_parts() -> None:
    data = multipart(
        part('name="0.text"', "é\r\nü".encode()),
        part('name="0.photo"; filename="a.png"\r\nContent-Type: image/png', BINARY),
    )
    assert data == FormData({"0.text": "é\nü"}, {"0.photo": Upload(BINARY, "image/png")})


def test_a_file_that_was_not_chosen_is_none() -> None:
    data = multipart(part('name="f"; filename=""\r\nContent-Type: application/octet-stream', b""))
    assert data == FormData()


def test_an_empty_file_is_one() -> None:
    data = multipart(part('name="f"; filename="a"\r\nContent-Type: text/plain', b""))
    assert data.files == {"f": Upload(b"", "text/plain")}


def test_a_file_of_no_type_is_told_by_its_bytes() -> None:
    png = b"\x89PNG\r\n\x1a\n"
    data = multipart(part('name="f"; filename="a"\r\nContent-Type: application/octet-stream', png))
    assert data.files == {"f": Upload(png, "image/png")}


@pytest.mark.parametrize("name", ["grüße", 'say "hi"', "a;b", "x=y"])
def test_a_name_may_be_anything(name: str) -> None:
    quoted = name.replace('"', "%22")
    assert multipart(part(f'name="{quoted}"', b"v")).fields == {name: "v"}


def test_a_boundary_may_be_quoted() -> None:
    body = b'--a b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--a b--'
    assert sent(body, 'multipart/form-data; charset=utf-8; boundary="a b"').fields == {"x": "1"}


@pytest.mark.parametrize(
    "body",
    [b"", b"--boundary", b"--boundary--", b"--boundary\r\n\r\n", b"--boundary\r\nx\r\n\r\ny\r\n--boundary--"],
)
def test_what_is_broken_off_is_left_out(body: bytes) -> None:
    assert sent(body, "multipart/form-data; boundary=boundary") == FormData()
