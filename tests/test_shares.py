"""Who is let in to a model that is shared."""

import pytest

from hotfire.region.visitor import Visitor
from hotfire.server.shares import LinkHolders

SECRET = "hotfire_secret"


@pytest.fixture
def holders() -> LinkHolders:
    return LinkHolders("news", SECRET, 4780)


def cookie(holders: LinkHolders) -> dict[str, str]:
    """What a browser sends after it was let in."""
    return {"cookie": str(holders.enter(SECRET)).partition(";")[0]}


def test_the_link_lets_in_as_often_as_it_is_followed(holders: LinkHolders) -> None:
    assert cookie(holders) == cookie(holders)
    assert holders.visitor(cookie(holders)) == Visitor(models=frozenset({"news"}), key=SECRET)


def test_a_visitor_sees_one_model_and_is_not_the_owner(holders: LinkHolders) -> None:
    visitor = holders.visitor(cookie(holders))
    assert visitor is not None
    assert (visitor.sees("news"), visitor.sees("other"), visitor.is_owner) == (True, False, False)


def test_the_cookie_is_not_the_key_and_no_key(holders: LinkHolders) -> None:
    value = cookie(holders)["cookie"].partition("=")[2]
    assert SECRET not in value
    assert holders.holder(value) is None
    assert holders.enter(value) is None


def test_the_cookie_is_kept_from_scripts_and_from_forms_elsewhere(holders: LinkHolders) -> None:
    attributes = str(holders.enter(SECRET)).split("; ")[1:]
    assert attributes == ["HttpOnly", "SameSite=Lax", "Path=/"]


@pytest.mark.parametrize("secret", ["", "hotfire_guess", SECRET[:-1], f"{SECRET}x", "schl\xfcssel", "\ud800"])
def test_another_key_lets_nobody_in(holders: LinkHolders, secret: str) -> None:
    assert (holders.enter(secret), holders.holder(secret)) == (None, None)


@pytest.mark.parametrize(
    "headers", [{}, {"cookie": ""}, {"cookie": "hotfire-4780=guess"}, {"cookie": "hotfire-4780="}]
)
def test_another_cookie_lets_nobody_in(holders: LinkHolders, headers: dict[str, str]) -> None:
    assert holders.visitor(headers) is None


def test_what_lets_in_to_one_share_does_not_to_the_next(holders: LinkHolders) -> None:
    after = LinkHolders("news", "hotfire_another", 4780)
    assert after.visitor(cookie(holders)) is None


def test_the_key_is_not_printed_with_the_visitor(holders: LinkHolders) -> None:
    assert SECRET not in repr(holders.holder(SECRET))
