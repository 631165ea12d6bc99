import base64
import hashlib

import pytest

from hotfire.address import Exposure, Key, prove
from hotfire.errors import AccessDenied, InvalidSignature, UnrecognizedClient
from hotfire.region.wire import Request
from hotfire.server.gate import (
    Anybody,
    Gate,
    KeyHolders,
    Scope,
    Signers,
    Visitors,
    clients_of,
    is_of_this_machine,
    scope,
)

KEY = Key("HOTFIREABCDEFGHIJKLM", "secret")
HERE = "127.0.0.1:4774"


@pytest.fixture
def gate() -> Gate:
    return Gate(KEY, frozenset({HERE, "localhost:4774", "10.0.0.1:4774"}))


def signed(access_key: str = KEY.access_key, region: str = "us-east-1", service: str = "sagemaker") -> str:
    credential = f"{access_key}/20261122/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00"


@pytest.mark.parametrize("host", [HERE, "localhost:4774", "LOCALHOST:4774"])
def test_a_request_to_the_region_itself_comes_in(gate: Gate, host: str) -> None:
    gate.check_origin({"host": host})


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4774", "127.0.0.1", "127.0.0.1:4775", "127.0.0.1:4774.evil", ""]
)
def test_a_request_to_another_host_is_refused(gate: Gate, host: str) -> None:
    with pytest.raises(AccessDenied, match="does not answer for the host"):
        gate.check_origin({"host": host})


def test_the_refusal_names_the_host_to_use(gate: Gate) -> None:
    with pytest.raises(AccessDenied) as caught:
        gate.check_origin({})
    assert caught.value.message == (
        "This region does not answer for the host (none): use 127.0.0.1:4774, or start it with "
        "`hotfire up --allow-host NAME`."
    )


@pytest.mark.parametrize("origin", [f"http://{HERE}", "http://localhost:4774"])
def test_a_page_of_the_region_may_ask(gate: Gate, origin: str) -> None:
    gate.check_origin({"host": HERE, "origin": origin, "sec-fetch-site": "same-origin"})


@pytest.mark.parametrize(
    "origin",
    ["null", "https://evil.example", "http://127.0.0.1:8000", "http://127.0.0.1", "", "http://[", "file://"],
)
def test_a_page_elsewhere_may_not_ask(gate: Gate, origin: str) -> None:
    with pytest.raises(AccessDenied, match="web pages elsewhere"):
        gate.check_origin({"host": HERE, "origin": origin})


def test_a_request_that_a_page_elsewhere_began_is_refused_even_without_an_origin(gate: Gate) -> None:
    with pytest.raises(AccessDenied, match="web pages elsewhere"):
        gate.check_origin({"host": HERE, "sec-fetch-site": "cross-site"})


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_a_page_that_the_user_opens_is_let_in(gate: Gate, site: str) -> None:
    gate.check_origin({"host": HERE, "sec-fetch-site": site})


APP = "https://app.example"


@pytest.fixture
def listing(gate: Gate) -> Gate:
    """A gate that lets pages of one origin ask the public API."""
    return Gate(KEY, frozenset({HERE}), origins=[APP])


@pytest.mark.parametrize("origin", [APP, "HTTPS://APP.EXAMPLE"])
def test_a_listed_page_may_ask_the_public_api_and_is_named(listing: Gate, origin: str) -> None:
    headers = {"host": HERE, "origin": origin, "sec-fetch-site": "cross-site"}
    assert listing.listed_origin(headers) == origin


def test_a_listed_page_may_ask_nothing_else(listing: Gate) -> None:
    with pytest.raises(AccessDenied, match="web pages elsewhere"):
        listing.check_origin({"host": HERE, "origin": APP, "sec-fetch-site": "cross-site"})


def test_a_listed_page_reaches_the_region_by_its_own_names_alone(listing: Gate) -> None:
    with pytest.raises(AccessDenied, match="does not answer for the host"):
        listing.listed_origin({"host": "evil.example:4774", "origin": APP})


@pytest.mark.parametrize(
    "origin",
    ["null", "http://app.example", "https://app.example:444", "https://app.example.evil", "https://app", ""],
)
def test_a_page_that_is_not_listed_may_not_ask_the_public_api(listing: Gate, origin: str) -> None:
    with pytest.raises(AccessDenied, match="web pages elsewhere"):
        listing.listed_origin({"host": HERE, "origin": origin})


def test_a_page_that_does_not_say_whose_it_is_may_not_ask_the_public_api(listing: Gate) -> None:
    with pytest.raises(AccessDenied, match="web pages elsewhere"):
        listing.listed_origin({"host": HERE, "sec-fetch-site": "cross-site"})


@pytest.mark.parametrize("headers", [{}, {"origin": f"http://{HERE}", "sec-fetch-site": "same-origin"}])
def test_programs_and_the_regions_own_pages_are_of_no_listed_origin(
    listing: Gate, headers: dict[str, str]
) -> None:
    assert listing.listed_origin({"host": HERE, **headers}) is None


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1", "mars-1"])
def test_any_aws_region_is_this_one(gate: Gate, region: str) -> None:
    found = scope({"authorization": signed(region=region)}, {})
    assert gate.clients.check_key(found) == Scope(KEY.access_key, region, "sagemaker")


def test_a_presigned_address_carries_its_scope_in_the_query(gate: Gate) -> None:
    query = {"X-Amz-Credential": f"{KEY.access_key}/20261122/eu-west-1/s3/aws4_request"}
    assert gate.clients.check_key(scope({}, query)) == Scope(KEY.access_key, "eu-west-1", "s3")


def test_a_scope_without_spaces_is_read() -> None:
    """As some clients write it."""
    header = signed().replace(", ", ",")
    assert scope({"authorization": header}, {}) == Scope(KEY.access_key, "us-east-1", "sagemaker")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer HOTFIREABCDEFGHIJKLM",
        "Basic " + base64.b64encode(b"HOTFIREABCDEFGHIJKLM:secret").decode(),
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=HOTFIREABCDEFGHIJKLM, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f, SignedHeaders=host",
    ],
)
def test_what_is_not_signed_has_no_scope(gate: Gate, authorization: str) -> None:
    found = scope({"authorization": authorization}, {})
    assert found is None
    with pytest.raises(UnrecognizedClient):
        gate.clients.check_key(found)


@pytest.mark.parametrize("access_key", ["AKIAIOSFODNN7EXAMPLE", "", KEY.access_key[:-1], "schl\xfcssel"])
def test_another_key_is_refused_with_the_command_to_run(gate: Gate, access_key: str) -> None:
    with pytest.raises(UnrecognizedClient) as caught:
        gate.clients.check_key(Scope(access_key, "us-east-1", "sagemaker"))
    assert 'eval "$(hotfire env)"' in caught.value.message
    assert KEY.access_key not in caught.value.message


@pytest.mark.parametrize("access_key", ["AKIAIOSFODNN7EXAMPLE", KEY.access_key])
def test_where_any_key_will_do_the_scope_still_says_which_region_and_service(access_key: str) -> None:
    found = scope({"authorization": signed(access_key, "eu-west-1", "iam")}, {})
    assert Anybody().check_key(found) == Scope(access_key, "eu-west-1", "iam")


def test_where_any_key_will_do_there_must_be_one() -> None:
    with pytest.raises(UnrecognizedClient, match="is not signed"):
        Anybody().check_key(None)


@pytest.mark.parametrize(
    ("exposure", "clients"),
    [
        (Exposure(), KeyHolders),
        (Exposure("127.0.0.2"), KeyHolders),
        (Exposure("::1"), KeyHolders),
        (Exposure(allowed=("host.docker.internal",)), KeyHolders),
        (Exposure(any_key=True), Anybody),
        (Exposure("0.0.0.0"), Signers),
        (Exposure("::"), Signers),
        (Exposure("192.168.1.5"), Signers),
        # Which no command makes.
        (Exposure("0.0.0.0", any_key=True), Signers),
    ],
)
def test_who_is_let_in_depends_on_who_can_reach_it(exposure: Exposure, clients: type[object]) -> None:
    assert type(clients_of(KEY, exposure)) is clients


@pytest.mark.parametrize(("body", "is_let_in"), [(b"hello", True), (b"hallo", False), (b"", False)])
def test_a_body_is_what_its_signer_says(body: bytes, is_let_in: bool) -> None:
    headers = {
        "authorization": signed(),
        "x-amz-date": "20261122T000000Z",
        "x-amz-content-sha256": hashlib.sha256(b"hello").hexdigest(),
    }
    request = Request("POST", "/", "", headers, body)
    if is_let_in:
        Signers(KEY).check_body(request)
        return
    with pytest.raises(InvalidSignature, match="The body is not what was signed"):
        Signers(KEY).check_body(request)


def test_a_signature_is_looked_at_where_others_could_have_made_it() -> None:
    request = Request("POST", "/", "", {"authorization": signed(), "x-amz-date": "20261122T000000Z"}, b"")
    KeyHolders(KEY).check_signature(request)
    with pytest.raises(InvalidSignature):
        Signers(KEY).check_signature(request)


@pytest.mark.parametrize(
    ("client", "found"),
    [
        (("127.0.0.1", 5000), True),
        (("127.0.0.9", 5000), True),
        (("::1", 5000), True),
        (("::ffff:127.0.0.1", 5000), True),
        (("192.168.1.5", 5000), False),
        (("::ffff:192.168.1.5", 5000), False),
        (("", 0), False),
        (None, False),
    ],
)
def test_a_connection_by_the_loopback_is_of_this_machine(client: object, found: bool) -> None:
    assert is_of_this_machine({"client": client}) is found


def test_the_private_api_takes_the_key_as_a_bearer(gate: Gate) -> None:
    gate.check_bearer({"authorization": KEY.bearer})


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer AKIA", "Bearer schl\xfcssel", f"Bearer {KEY.access_key}"]
)
def test_the_private_api_takes_nothing_else(gate: Gate, given: str) -> None:
    with pytest.raises(UnrecognizedClient):
        gate.check_bearer({"authorization": given})


def cookie_of(header: str | None) -> dict[str, str]:
    assert header is not None
    return {"cookie": header.partition(";")[0]}


def test_a_browser_enters_by_a_link_and_is_known_from_then_on() -> None:
    visitors = Visitors(KEY, 4774)
    cookie = visitors.enter(visitors.issue())
    assert visitors.knows(cookie_of(cookie)) is True


def test_the_cookie_stays_with_the_region() -> None:
    visitors = Visitors(KEY, 4774)
    cookie = visitors.enter(visitors.issue())
    assert cookie is not None
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert KEY.access_key not in cookie
    assert KEY.secret_key not in cookie


def test_a_link_works_once() -> None:
    visitors = Visitors(KEY, 4774)
    token = visitors.issue()
    visitors.enter(token)
    assert visitors.enter(token) is None


@pytest.mark.parametrize("token", ["", "guess", "schl\xfcssel"])
def test_a_link_that_was_never_given_opens_nothing(token: str) -> None:
    visitors = Visitors(KEY, 4774)
    visitors.issue()
    assert visitors.enter(token) is None


def test_links_that_nobody_uses_do_not_gather() -> None:
    visitors = Visitors(KEY, 4774)
    first = visitors.issue()
    for _ in range(200):
        last = visitors.issue()
    assert (visitors.enter(first), visitors.enter(last) is not None) == (None, True)


def test_a_cookie_outlives_the_regions_process() -> None:
    before = Visitors(KEY, 4774)
    cookie = cookie_of(before.enter(before.issue()))
    assert Visitors(KEY, 4774).knows(cookie) is True


@pytest.mark.parametrize("nonce", ["console", "session", f"console {KEY.secret_key}"])
def test_the_proof_that_anybody_may_ask_for_opens_nothing(nonce: str) -> None:
    proof = prove(KEY.secret_key, nonce)
    assert Visitors(KEY, 4774).knows({"cookie": f"hotfire-4774={proof}"}) is False


def test_a_cookie_ends_with_the_key() -> None:
    before = Visitors(KEY, 4774)
    cookie = cookie_of(before.enter(before.issue()))
    assert Visitors(Key(KEY.access_key, "another"), 4774).knows(cookie) is False


def test_the_cookie_of_a_region_at_another_port_is_another() -> None:
    """A browser sends a host's cookies to all of its ports."""
    ours, theirs = Visitors(KEY, 4774), Visitors(Key("k", "another"), 4775)
    both = [cookie_of(one.enter(one.issue()))["cookie"] for one in (theirs, ours)]
    assert ours.knows({"cookie": "; ".join(both)}) is True


@pytest.mark.parametrize("cookie", ["", "hotfire-4774=", "hotfire-4774=gu\xe9ss", "hotfire-4774", "other=1"])
def test_another_cookie_is_not_known(cookie: str) -> None:
    assert Visitors(KEY, 4774).knows({"cookie": cookie}) is False
