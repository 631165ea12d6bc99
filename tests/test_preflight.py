"""What is said of a handler before it runs, and that the inference toolkit would say so too."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from hotfire.errors import HandlerError
from hotfire.preflight import ARGUMENTS, Finding, check, require

GOOD = """
def model_fn(model_dir): ...
def input_fn(body, content_type, context): ...
def predict_fn(data, model=None): ...
def output_fn(prediction, accept): ...
"""


@pytest.fixture
def handler(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "serve.py"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


Handler = Callable[[str | bytes], Path]


def rules(findings: list[Finding]) -> list[tuple[str, int | None]]:
    return [(finding.rule, finding.line) for finding in findings]


def test_a_good_handler(handler: Handler) -> None:
    assert check(handler(GOOD)) == []


def test_a_good_handler_passes(handler: Handler) -> None:
    require(check(handler(GOOD)))


def test_a_syntax_error_has_file_line_column_and_source(handler: Handler) -> None:
    path = handler("import json\n\ndef predict_fn(data, model)\n    return data\n")
    (finding,) = check(path)
    assert (finding.rule, finding.severity, finding.place) == ("syntax", "error", f"{path}:3")
    assert finding.message == "Syntax error, column 28: expected ':': def predict_fn(data, model)"


@pytest.mark.parametrize("text", [b"a = 1\0", b"\xff\xfe", b"# coding: nonsense\n"])
def test_what_is_no_python_at_all(handler: Handler, text: bytes) -> None:
    assert [finding.rule for finding in check(handler(text))] == ["syntax"]


def test_a_source_of_another_encoding(handler: Handler) -> None:
    assert check(handler("# coding: latin-1\ndef model_fn(größe): ...\n".encode("latin-1"))) == []


def test_a_handler_that_is_gone(tmp_path: Path) -> None:
    (finding,) = check(tmp_path / "serve.py")
    assert finding.message == "It cannot be read: No such file or directory."


def test_transform_fn_beside_others_names_the_lines(handler: Handler) -> None:
    path = handler(GOOD + "def transform_fn(model, data, content_type, accept): ...\n")
    (finding,) = check(path)
    assert (finding.rule, finding.line) == ("transform-fn", 6)
    assert finding.message == (
        "transform_fn (line 6) stands beside input_fn (line 3) and predict_fn (line 4) and "
        "output_fn (line 5); the inference toolkit takes either."
    )


@pytest.mark.parametrize(
    "text",
    [
        "from shared import predict_fn\n",
        "predict_fn = make()\n",
        "predict_fn: object = make()\n",
        "first, predict_fn = make()\n",
        "try:\n    from a import predict_fn\nexcept ImportError:\n    pass\n",
        "if True:\n    pass\nelse:\n    def predict_fn(a, b): ...\n",
        "match 1:\n    case 1:\n        def predict_fn(a, b): ...\n",
        "class predict_fn: ...\n",
    ],
)
def test_functions_that_are_not_written_plainly_are_seen(handler: Handler, text: str) -> None:
    path = handler(text + "def transform_fn(model, data, content_type, accept): ...\n")
    assert [finding.rule for finding in check(path)] == ["transform-fn"]


@pytest.mark.parametrize(
    "text",
    [
        "def helper():\n    def predict_fn(a, b): ...\n",
        "class Model:\n    def predict_fn(a, b): ...\n",
        "predict_fn: object\n",
        "x = predict_fn\n",
    ],
)
def test_what_is_no_function_of_the_module_does_not_matter(handler: Handler, text: str) -> None:
    assert check(handler(text + "def transform_fn(model, data, content_type, accept): ...\n")) == []


PARAMETERS = [
    "a",
    "a, b",
    "a, b, c",
    "a, b, c, d",
    "",
    "*args",
    "a, *args",
    "*args, **kw",
    "a, **kw",
    "a, *, b",
    "a, *, b=1",
    "a, b, *, c=1",
    "a, b=1",
    "a, b=1, c=2",
    "a, b, c=1, d=2",
    "a, /, b",
    "a, /, b, *, c",
    "*, a, b",
]


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("name", ["model_fn", "predict_fn", "transform_fn"])
def test_parameters_are_judged_as_the_toolkit_does(handler: Handler, name: str, parameters: str) -> None:
    source = f"def {name}({parameters}): ...\n"
    space: dict[str, Callable[..., None]] = {}
    exec(source, space)
    expected = [] if _toolkit_can_call(space[name], len(ARGUMENTS[name])) else [("parameters", 1)]
    assert rules(check(handler(source))) == expected


def _toolkit_can_call(function: Callable[..., None], count: int) -> bool:
    """Call it as the toolkit would: with as many arguments as it has parameters, if it takes those."""
    given = len(inspect.signature(function).parameters)
    if given not in (count, count + 1):
        return False
    try:
        function(*range(given))
    except TypeError:
        return False
    return True


def test_the_toolkit_itself_agrees() -> None:
    transformer = pytest.importorskip(
        "sagemaker_inference.transformer", reason="pip install sagemaker-pytorch-inference"
    ).Transformer()
    transformer._context = "context"
    with pytest.raises(TypeError, match="takes 3 arguments but 1 were given"):
        transformer._run_handler_function(lambda a, b, c: None, "model_dir")
    assert transformer._run_handler_function(lambda a, context: (a, context), "dir") == ("dir", "context")


def test_a_wrong_number_of_parameters_says_what_to_write(handler: Handler) -> None:
    (finding,) = check(handler("\ndef predict_fn(data): ...\n"))
    assert finding.message == (
        "predict_fn has 1 parameter; the inference toolkit calls it with 2, or one more for the context."
    )
    assert finding.advice == "Write `def predict_fn(data, model):`, or add `context` as its last parameter."


def test_torch_s_decorators_keep_the_parameters(handler: Handler) -> None:
    text = "@torch.no_grad()\ndef predict_fn(data): ...\n@inference_mode\ndef input_fn(a): ...\n"
    assert rules(check(handler(text))) == [("parameters", 2), ("parameters", 4)]


def test_what_another_decorator_makes_is_not_guessed(handler: Handler) -> None:
    assert check(handler("@retry(3)\ndef predict_fn(data): ...\n@x[0]\ndef input_fn(): ...\n")) == []


def test_of_two_definitions_the_last_counts(handler: Handler) -> None:
    assert check(handler("def predict_fn(data): ...\ndef predict_fn(data, model): ...\n")) == []


@pytest.mark.parametrize(
    ("places", "held"),
    [
        (["code/serve.py"], "there is none"),
        (["a.pt", "b.pth", "c.bin"], "there are a.pt, b.pth"),
        (["weights/model.pt"], "there is none"),
        (["model.PT"], "there is none"),
    ],
)
def test_without_model_fn_there_must_be_one_model(handler: Handler, places: list[str], held: str) -> None:
    (finding,) = check(handler("def predict_fn(data, model): ...\n"), places)
    assert (finding.rule, finding.line) == ("model-fn", None)
    assert finding.message.endswith(f"just one .pt or .pth file: {held}.")


@pytest.mark.parametrize(
    "places", [["one.pth"], ["one.pt", "code/serve.py", "other/two.pt"], ["model.pt", "b.pt"], None]
)
def test_the_toolkit_loads_one_model_by_itself(handler: Handler, places: list[str] | None) -> None:
    assert check(handler("def predict_fn(data, model): ...\n"), places) == []


@pytest.mark.parametrize(
    "text", ["from base import *\n", "from base import model_fn\n", "model_fn = torch.load\n"]
)
def test_a_model_fn_from_elsewhere_is_one(handler: Handler, text: str) -> None:
    assert check(handler(text), []) == []


def test_require_says_all_errors_and_where(handler: Handler) -> None:
    path = handler("def model_fn(): ...\ndef predict_fn(data): ...\n")
    with pytest.raises(HandlerError) as raised:
        require(check(path))
    assert [line.partition(";")[0] for line in raised.value.message.splitlines()] == [
        f"{path}:1: model_fn has 0 parameters",
        f"{path}:2: predict_fn has 1 parameter",
    ]
    assert raised.value.advice.endswith("last parameter. `hotfire check` shows the way out of the others.")


def test_a_warning_stops_nothing(handler: Handler) -> None:
    require([Finding("some", "warning", "It may be slow.", "", handler(""), 1)])
