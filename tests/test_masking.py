"""What is taken for a secret, and what is not."""

import pytest

from hotfire.region.masking import is_masked, mask_text, masked


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "X-Amz-Security-Token",
        "X-Api-Key",
        "x-goog-api-key",
        "X-Hub-Signature",
        "X-Auth",
        "X-Client-Secret",
    ],
)
def test_a_header_whose_value_is_one(name: str) -> None:
    assert masked([(name, "abc")]) == {name: "***"}


@pytest.mark.parametrize(
    "name",
    ["Content-Type", "Accept", "X-Author", "X-Max-Tokens", "X-Amzn-SageMaker-Inference-Id", "Content-Length"],
)
def test_a_header_that_is_none(name: str) -> None:
    assert masked([(name, "abc")]) == {name: "abc"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trace=1;token=abc;user=me", "trace=1;token=***;user=me"),
        ('{"password": "abc", "n": 1}', '{"password": "***", "n": 1}'),
        ("session_token: abc", "session_token: ***"),
        ("api-key=abc&n=1", "api-key=***&n=1"),
        ("use Bearer abc.def now", "use Bearer *** now"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id ***."),
        ("HOTFIREABCDEFGHIJKLM", "***"),
        ("hotfire_0123456789abcdefghij", "***"),
        ("ghp_0123456789abcdefghij0123", "***"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "***"),
        ("the author of two basics", "the author of two basics"),
        ("tokens are words", "tokens are words"),
        ("max_tokens=512", "max_tokens=512"),
        ("author=me", "author=me"),
        ("trace=1", "trace=1"),
        ("", ""),
    ],
)
def test_secrets_in_other_values(text: str, expected: str) -> None:
    assert mask_text(text) == expected
    assert is_masked(mask_text(text)) == (text != expected)
