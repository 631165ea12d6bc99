import pytest

from hotfire.image_name import is_image_name

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    "text",
    [
        "news",
        "me/news:1",
        "news__a---b.c:V1.0-rc_1",
        "localhost:5000/news",
        "[::1]:5000/news:1",
        "Registry.example/team/news",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/news:2.6.0-cpu-py312",
        f"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/news@{DIGEST}",
        f"news:1@{DIGEST}",
        DIGEST,
    ],
)
def test_names_that_an_image_may_have(text: str) -> None:
    assert is_image_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPPER CASE!!",
        "me/News",
        "News",
        "news:",
        "news:a b",
        "news:-1",
        "news:" + "a" * 129,
        "news@sha256:0a",
        "https://registry.example/news",
        "news/",
        "/news",
        "a..b",
        "a" * 256,
        "news\n",
    ],
)
def test_names_that_no_image_has(text: str) -> None:
    assert not is_image_name(text)
