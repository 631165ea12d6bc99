"""Pages of what comes and goes."""

import pytest

from hotfire.region.cursor import Place, turn


def place(item: str) -> Place:
    return (item,)


def test_without_a_token_it_is_the_first_page() -> None:
    assert turn("cab", place, 2)[0] == ["a", "b"]


def test_the_last_page_leads_nowhere() -> None:
    assert turn("ab", place, 2) == (["a", "b"], None)


@pytest.mark.parametrize(("falling", "pages"), [(False, ["ab", "cd", "e"]), (True, ["ed", "cb", "a"])])
def test_pages_have_every_item_once(falling: bool, pages: list[str]) -> None:
    found, token = [], None
    while True:
        page, token = turn("badce", place, 2, token, falling=falling)
        found.append("".join(page))
        if token is None:
            break
    assert found == pages


def test_a_page_begins_after_the_last_whatever_has_gone_and_come() -> None:
    _, token = turn("bcd", place, 2)
    assert turn("abd", place, 2, token) == (["d"], None)


@pytest.mark.parametrize("token", ["", "x", "é", "MQ==", "W1tdXQ=="])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # which one, base64 and json say
        turn("ab", place, 1, token)
