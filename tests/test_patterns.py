"""Java's patterns in Python: every one of the service models compiles, and means what it means at AWS."""

import pytest
from botocore.loaders import Loader

from hotfire.region.patterns import Pattern, pattern

PROPERTIES = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
SURROGATES = r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*"


@pytest.mark.parametrize("name", ["sagemaker", "sagemaker-runtime", "iam", "sts", "logs"])
def test_every_pattern_of_a_service_compiles(name: str) -> None:
    shapes = Loader().load_service_model(name, "service-2")["shapes"].values()
    sources = {shape["pattern"] for shape in shapes if "pattern" in shape}
    assert len([Pattern(source) for source in sources]) >= 5


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (PROPERTIES, "project"),
        (PROPERTIES, "Größe 1/é٣ 東京"),  # letters, a digit and a space of other scripts
        (PROPERTIES, ""),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+", "e\u0301€!«½"),
        (r"[^\p{L}]+", "1€٣"),
        (r"\p{L}\p{N}", "é٣"),
        (r"\p{ASCII}*", "a\x00\x7f\n"),
        (r"\A\S[\p{Print}]*\z", "a b~"),
        (r"arn:[\p{Alnum}\-]+:x", "arn:aws-cn:x"),
        (SURROGATES, "a\t😀\ue000"),
        (r"(a*)${1,128}", "aaa"),
        (r"[\w-_]*", "a-b_c"),
        (r"[a-zA-Z0-9-_.]+", "a-b_c.1"),
        (r"^a$", "a"),
        (r"a.c", "a c"),
        (r"[.$]+", ".$"),
        (r"a\.b\$", "a.b$"),
    ],
)
def test_what_a_pattern_matches(source: str, text: str) -> None:
    assert pattern(source).fits(text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (PROPERTIES, "a€"),
        (PROPERTIES, "a\ue000"),  # private use: our own stand-in is nobody's letter
        (PROPERTIES, "a\n"),
        (r"[^\p{L}]+", "1é"),
        (r"\p{L}\p{N}", "٣é"),
        (r"\p{ASCII}*", "é"),
        (r"\A\S[\p{Print}]*\z", "a\tb"),
        (r"\A\S[\p{Print}]*\z", "ab\n"),
        (r"arn:[\p{Alnum}\-]+:x", "arn:é:x"),
        (SURROGATES, "a\n"),
        (r"^a$", "a\n"),
        (r"a", "ab"),
        (r"a.c", "a\rc"),
        (r"a.c", "a\u2028c"),
        (r"\d+", "٣"),
        (r"\w+", "é"),
        (r"a\.b", "axb"),
        (r"[.]", "x"),
    ],
)
def test_what_a_pattern_does_not_match(source: str, text: str) -> None:
    assert not pattern(source).fits(text)


def test_a_pattern_is_compiled_once() -> None:
    assert pattern(PROPERTIES) is pattern(PROPERTIES)
