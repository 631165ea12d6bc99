"""Bodies as pages show them."""

import base64
import json

import pytest

from hotfire.console.shown import MOST_SHOWN, Shown, shown

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def show(body: bytes | None, content_type: str = "", size: int | None = None) -> Shown:
    return shown(body, len(body or b"") if size is None else size, content_type)


def test_json_has_a_line_for_each_member() -> None:
    found = show(b'{"a":1,"b":"\xc3\xa4"}')
    assert (found.kind, found.text) == ("json", '{\n  "a": 1,\n  "b": "ä"\n}')


@pytest.mark.parametrize("body", [b"a,b", b'"text"', b"12", b"[1, 2", b"<script>"])
def test_other_text_stays_as_it_is(body: bytes) -> None:
    found = show(body)
    assert (found.kind, found.text) == ("text", body.decode())


def test_what_is_nested_too_deep_is_text() -> None:
    assert show(b"[" * 100_000 + b"]" * 100_000).kind == "text"


def test_an_image_is_given_as_data() -> None:
    found = show(PNG, "image/png; a=b")
    assert (found.kind, found.text) == ("image", f"data:image/png;base64,{base64.b64encode(PNG).decode()}")


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/html", "application/octet-stream"])
def test_only_images_in_which_nothing_runs_are_shown_as_images(kind: str) -> None:
    assert show(b"<svg onload='alert(1)'/>", kind).kind == "text"


def test_the_beginning_of_an_image_is_none() -> None:
    assert show(PNG, "image/png", size=1_000_000).kind == "hex"


def test_bytes_are_dumped() -> None:
    found = show(bytes(range(20)))
    assert found.text.splitlines() == [
        "000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................",
        "000010  10 11 12 13                                      ....",
    ]


def test_a_dump_is_short() -> None:
    assert len(show(b"\xff" * 100_000).text.splitlines()) == 32


def test_of_a_long_text_the_beginning_is_shown() -> None:
    found = show(b"x" * (MOST_SHOWN + 5))
    assert (len(found.text), found.more, found.is_cut) == (MOST_SHOWN, 5, False)


def test_a_letter_that_was_split_by_a_cut_is_left_out() -> None:
    found = show("aä".encode()[:-1], size=100)
    assert (found.kind, found.text, found.is_cut) == ("text", "a", True)


def test_json_that_was_cut_is_not_laid_out() -> None:
    assert show(b"[1, 2]", size=100).kind == "text"


def test_what_is_not_recorded_and_what_is_empty_are_told_apart() -> None:
    assert [show(None, size=5).kind, show(b"").kind] == ["absent", "empty"]


def test_halves_of_surrogate_pairs_can_be_written_to_a_page() -> None:
    found = show(json.dumps(["\ud800"]).encode())
    assert found.text.encode("utf-8", "replace") == b'[\n  "?"\n]'
