"""What AWS's stack is asked when its answers are recorded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy
from asks import CSV, FORM, JSON, NPY, NPZ, Ask, Headers, Repeated, Setup, get, kinds, numbered, say

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
CHUNKED: Headers = kinds(JSON, JSON, ("Transfer-Encoding", "chunked"))
OCTETS: Headers = kinds("application/octet-stream")
PARTS: Headers = kinds("multipart/form-data; boundary=XX")
BODY = 'form-data; name="body"'
END = b"--XX--\r\n"
LIMIT = 6_553_500

FAILURES = {
    "value": "raise ValueError('bad value')",
    "empty": "raise ValueError()",
    "lines": "raise ValueError('one\\ntwo\\r\\nthree')",
    "long": "raise ValueError('y' * 20000)",
    "key": "{}['missing']",
    "tuple": "raise ValueError('a', 1)",
    "toolkit_400": "raise BaseInferenceToolkitError(400, 'the message', 'The Phrase')",
    "toolkit_200": "raise BaseInferenceToolkitError(200, 'the message', 'The Phrase')",
    "toolkit_204": "raise BaseInferenceToolkitError(204, 'the message', 'The Phrase')",
    "toolkit_text": "raise BaseInferenceToolkitError('400', 'the message', 'The Phrase')",
    "toolkit_no_phrase": "raise BaseInferenceToolkitError(400, 'the message', None)",
    "generic_422": "raise GenericInferenceToolkitError(422, 'the message')",
    "generic_none": "raise GenericInferenceToolkitError(400)",
    "unsupported": "raise UnsupportedFormatError('a/b')",
    "mute": "raise Mute()",
    "group": "raise ExceptionGroup('several', [ValueError(1)])",
    "stop": "raise StopIteration('s')",
    "memory": "raise MemoryError('much')",
    "cuda": "raise RuntimeError('CUDA out of memory')",
    "recursion": "f = lambda f: f(f); f(f)",
    "exit": "sys.exit(3)",
    "interrupt": "raise KeyboardInterrupt()",
    "gone": "os._exit(1)",
    "base": "raise BaseException('base')",
    "letters": "raise ValueError('caf\\u00e9 \\u2603')",
    "half_a_letter": "raise ValueError('\\ud800')",
}
DEADLY = ("exit", "interrupt", "gone", "base", "toolkit_text", "letters", "half_a_letter")
EVERYWHERE = ("value", "toolkit_400", "generic_422", "unsupported")

RESULTS = (
    "'text'|'é ☃ 😀'|''|b'raw\\xff'|b''|bytearray(b'b')|memoryview(b'm')|7|1.5|True|None|10**40|1j"
    "|float('nan')|[1e300, -0.0]|[1, [2.5, None, 'x']]|[]|{}|{'a': [], 'b': {'c': 'é'}}"
    "|{1: 'a', None: 'b', True: 'c'}|{(1, 2): 'a'}|endless|['\\ud800']|'\\ud800'|('a', 'text/plain')"
    "|(b'a', 'application/x-b')|({'a': 1}, 'a/b')|(None, 'a/b')|('a',)|()|('a', 'b/c', 'd')|('a', None)"
    "|('a', '')|('a', 5)|('a', b'b/c')|('a', 'text/html; charset=utf-8')|(('a', 'b/c'), 'd/e')"
    "|Pair('a', 'b/c')|['a', 'b/c']|torch.ones(2)|{'t': torch.ones(2)}|np.ones(2)|[np.float32(1)]"
    "|[np.float64(1)]|np.float64(1.5)|np.str_('s')|np.bytes_(b's')|{1}|(n for n in 'ab')|range(2)|object"
    "|Text('sub')|Number.ONE|collections.OrderedDict(b=1, a=2)|decimal.Decimal(1)|datetime.date(2020, 1, 1)"
    "|ValueError('x')|io.BytesIO(b'x')|nobody"
)
PREDICTIONS = (
    "torch.tensor([[1.5, 2], [3, 4]])|torch.tensor(3)|torch.ones(1, 2, 2)|torch.ones(2, requires_grad=True)"
    "|[torch.ones(2), 1]|{'a': np.ones(2), 'b': np.int8(2)}|np.array([[1, 2.5]])|np.array(5)"
    "|np.array(['a', 'é'])|np.float32(0.1)|'é'|b'b'|None|True|0.1|[float('nan')]|{1}|decimal.Decimal(1)"
    "|datetime.date(2020, 1, 1)|(1, 2)|(n for n in 'ab')|Listed()|['a,b', 'c\"d']|[['a', 1]]|[]"
    "|[[1], [2, 3]]|{1: 2}|torch.empty(0, 2)|torch.ones(2, dtype=torch.bfloat16)"
    "|collections.OrderedDict(b=1, a=2)"
)

QUESTIONS = (
    "model|type(context).__name__|context.model_name|context.manifest|context.explain|context.model_yaml_config"
    "|{name: value for name, value in context.system_properties.items() if name != 'model_dir'}"
    "|context.stopping_criteria|context.header_key_sequence_id|len(context.get_request_id(0))"
    "|len(context.get_request_id())|context.get_request_id(1)|list(context.request_ids)"
    "|context.get_request_header(0, 'content-type')|context.get_request_header(0, 'Content-Type')"
    "|context.get_request_header(0, 'nothing')|context.get_request_header(1, 'Accept')"
    "|context.get_request_header(-1, 'Accept')|context.get_all_request_header(1)"
    "|len(context.request_processor)|type(context.request_processor).__name__"
    "|sorted(name for name in dir(context.request_processor[0]) if name[0] != '_')"
    "|context.request_processor[0].get_request_property('Accept')|context.get_response_status(0)"
    "|context.get_response_content_type(0)|context.get_response_headers(0)|context.get_sequence_id(0)"
    "|context.set_response_status(200, 'x', 3)|context.set_all_response_status(200)"
    "|context.request_processor[0].get_response_status_code()"
    "|context.request_processor[0].get_response_header()|context.request_processor[0].get_response_header('a')"
    "|context.request_processor[0].get_response_headers()|context.metrics.request_ids == context.request_ids"
    "|context.metrics.add_counter('a', 1)|context.metrics.add_time('a', 1.5, 0, 's')"
    "|context.metrics.add_time('c', 1, unit='h')|context.metrics.add_size('d', 1, None, 'kB')"
    "|context.metrics.add_size('e', 1, unit='x')|context.metrics.add_percent('f', 50)"
    "|context.metrics.add_error('g', 'bad')|context.metrics.add_metric('h', 1, 'unit')"
    "|context.metrics.add_counter('j', 'x')|context.metrics.add_counter('k', -1)|context == context"
    "|hash(context)|context.nothing|setattr(context, 'mine', 1)|__name__|__package__|__spec__.name"
    "|logging.getLogger().level|len(logging.getLogger().handlers)|os.path.relpath(__file__)"
    "|os.path.basename(os.getcwd())|sys.modules[__name__].__dict__ is globals()"
    "|torch.is_grad_enabled()|torch.is_inference_mode_enabled()|threading.active_count()"
    "|threading.current_thread() is threading.main_thread()|signal.getsignal(signal.SIGINT)"
    "|sys.flags.dont_write_bytecode|sys.stdout.encoding|sys.stdout.isatty()|sys.getrecursionlimit()"
)

MORE_FAILURES = {
    "teapot": "raise Teapot()",
    "status_attribute": "raise WithStatus('gone')",
    "chained": "try:\n 1 / 0\nexcept ZeroDivisionError as e:\n raise RuntimeError('outer') from e",
    "assertion": "assert 1 == 2, 'not so'",
    "bare_assertion": "assert False",
    "name": "nobody",
    "attribute": "None.nothing",
    "index": "[][1]",
    "no_file": "open('/nowhere/file')",
    "import": "import nobody_at_all",
    "division": "1 / 0",
    "decoding": "b'\\xff'.decode()",
    "json": "json.loads('{')",
    "syntax": "eval('1 +')",
    "not_implemented": "raise NotImplementedError",
    "class_only": "raise ValueError",
    "not_an_exception": "raise 5",
    "timeout": "raise TimeoutError('late')",
    "connection": "raise ConnectionResetError(104, 'reset')",
    "end_of_generator": "raise GeneratorExit",
    "cancelled": "import asyncio; raise asyncio.CancelledError('c')",
    "number": "raise ValueError(7)",
    "nothing": "raise ValueError(None)",
    "bytes": "raise ValueError(b'b')",
    "traceback": "raise ValueError('Traceback')",
    "toolkit_299": "raise BaseInferenceToolkitError(299, 'm', 'P')",
    "toolkit_500": "raise BaseInferenceToolkitError(500, 'm', 'P')",
    "toolkit_599": "raise BaseInferenceToolkitError(599, 'm', 'P')",
    "toolkit_none": "raise BaseInferenceToolkitError(None, 'm', 'P')",
    "toolkit_float": "raise BaseInferenceToolkitError(400.0, 'm', 'P')",
    "toolkit_http": "raise BaseInferenceToolkitError(http.HTTPStatus.NOT_FOUND, 'm', 'P')",
    "toolkit_dict": "raise BaseInferenceToolkitError(400, {'a': 1}, 'P')",
    "toolkit_bytes": "raise BaseInferenceToolkitError(400, b'm', 'P')",
    "toolkit_no_message": "raise BaseInferenceToolkitError(400, None, 'P')",
    "toolkit_empty": "raise BaseInferenceToolkitError(400, '', '')",
    "toolkit_lines": "raise BaseInferenceToolkitError(400, 'a\\r\\nb', 'P\\r\\nQ')",
    "toolkit_letters": "raise BaseInferenceToolkitError(400, 'caf\u00e9', 'P')",
    "toolkit_phrase_in_letters": "raise BaseInferenceToolkitError(400, 'm', 'caf\u00e9')",
    "generic_phrase": "raise GenericInferenceToolkitError(429, 'slow', 'Too Many')",
    "generic_unknown": "raise GenericInferenceToolkitError(499, 'm')",
    "generic_text": "raise GenericInferenceToolkitError('422', 'm')",
    "mute_cuda": "raise MuteCuda()",
    "segfault": "os.kill(os.getpid(), 11)",
    "terminated": "os.kill(os.getpid(), 15); time.sleep(5)",
    "interrupted": "os.kill(os.getpid(), 2); time.sleep(5)",
    "stopped": "raise StopAsyncIteration",
    "warning": "raise UserWarning('w')",
    "noted": "e = ValueError('a'); e.add_note('note'); raise e",
    "long_line": "raise ValueError('z' * 3000)",
    "tabs": "raise ValueError('a\\tb\\x00c')",
    "emoji_key": "{}['\u2603']",
}

HANDLERS = (
    "starred",
    "defaulted",
    "positional",
    "lambdas",
    "partial",
    "callable",
    "coroutine",
    "generator",
    "no_functions",
    "text_for_function",
    "three_arguments",
    "globals",
    "before_and_after",
    "transform",
    "alone",
    "decorated",
    "methods",
    "both_outputs",
    "transform_and_default",
)


ONLY = ("only_input", "only_output", "only_predict")


def setups() -> list[Setup]:
    """All of them."""
    given, limits = {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": CSV}, {"TS_MAX_REQUEST_SIZE": "100"}
    defaults = [Ask("none", headers=kinds(JSON, None)), Ask("any", headers=kinds(JSON, "*/*"))]
    sizes = [Ask("at", b"1" * 100), Ask("over", b"1" * 101), Ask("answer", b"2" * 90)]
    return [
        Setup("seen", seen(), "seen"),
        Setup("told", answers(), "told"),
        Setup("raised", failures(), "raised"),
        Setup("failed", more_failures(), "raised"),
        Setup("managed", managed(), "seen"),
        Setup("forms", forms(), "seen"),
        Setup("addresses", addresses(), "seen"),
        Setup("edges", edges(), "seen"),
        Setup("framed", framed(), "seen"),
        Setup("returned", results(), "returned"),
        Setup("asked", [say(n, e) for n, e in numbered("asked", QUESTIONS)], "asked"),
        Setup("decoded", decoded(), scripted="model.pt"),
        Setup("encoded", encoded(), "encoded"),
        *[Setup("handler_" + name, [say(letter) for letter in "abcd"], name) for name in HANDLERS],
        Setup("dotted", [say("a")], "lambdas", "code/pkg/serve.py", {"SAGEMAKER_PROGRAM": "pkg.serve"}),
        Setup("at_root", [say("a")], "lambdas", "mine.py", {"SAGEMAKER_PROGRAM": "mine.py"}, ["model.bin"]),
        Setup("accepting", defaults, environment=given, scripted="only.pth"),
        Setup("nested", [Ask("a")], scripted="inner/model.pt"),
        *more(),
        Setup("sized", sizes, "sized", environment={**limits, "TS_MAX_RESPONSE_SIZE": "100"}),
    ]


def more() -> list[Setup]:
    """Handlers beside other files, and variables of the environment."""
    octets = kinds("application/octet-stream")
    types = f"{JSON}|{CSV}|{NPY}|{NPZ}|text/plain|image/png|application/jsonlines|"
    accepted = [Ask("none", headers=kinds(JSON, None)), Ask("any", headers=kinds(JSON, "*/*")), Ask("json")]
    accepting = {"nothing": "", "several": "a/b, text/csv", "npy": NPY}
    programs = {"in_folder": "sub/serve.py", "absolute": "/opt/ml/model/code/inference.py"}
    beside = ["code/sibling.py", "code/lib/__init__.py", "code/lib/deep.py", "at_the_root.py"]
    batch = {"SAGEMAKER_TS_BATCH_SIZE": "3", "SAGEMAKER_TS_MAX_BATCH_DELAY": "10"}
    mine = {"MINE": "a b=c", "MINE_2": "", "SAGEMAKER_TS_RESPONSE_TIMEOUT": "1"}
    return [
        *[Setup(f"handler_{name}", [Ask("a")], name, scripted="model.pt") for name in ONLY],
        Setup("handler_imports", [Ask("a")], "imports", files=beside),
        Setup(
            "handler_transform_kinds",
            [Ask(name, b"abc", kinds(kind)) for name, kind in numbered("type", types)],
            "transform_kinds",
        ),
        Setup("handler_modified_input", [Ask("a", b"abc", octets)], "modified_input"),
        Setup("batch", [say("a", "context.system_properties['batch_size']")], "asked", environment=batch),
        Setup("environment", [Ask("a")], "environment", environment=mine),
        *[
            Setup(
                name, [Ask("a")], "lambdas", environment={"SAGEMAKER_PROGRAM": program}, scripted="model.pt"
            )
            for name, program in programs.items()
        ],
        Setup("dashed", [Ask("a")], "lambdas", "code/my-serve.py", {"SAGEMAKER_PROGRAM": "my-serve.py"}),
        *[
            Setup(
                f"accepting_{name}",
                accepted,
                environment={"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": accept},
                scripted="a.pt",
            )
            for name, accept in accepting.items()
        ],
    ]


def seen() -> list[Ask]:
    """What of a request reaches a handler."""
    with_file = part(BODY + '; filename="f"', b"[1]", "Content-Type: application/json")
    with_type = part(BODY, b"[1]", "Content-Type: a/b") + part('form-data; name="c"', b"")
    return [
        say("plain", headers=kinds(JSON, JSON, (ATTRIBUTES, "trace=1;k=v"))),
        say("twice", headers=kinds(JSON, JSON, (ATTRIBUTES, "one"), (ATTRIBUTES, "two"))),
        say("in_two_cases", headers=kinds(JSON, JSON, (ATTRIBUTES, "one"), (ATTRIBUTES.lower(), "two"))),
        say("letters", headers=kinds(JSON, JSON, (ATTRIBUTES, "caf\xe9"), ("X-Utf8", "caf\xc3\xa9"))),
        say("spaces", headers=kinds(JSON, JSON, ("X-Empty", ""), ("X-Wide", "  a  b \t "))),
        say("lower_case", headers=[("content-type", JSON), ("accept", CSV)]),
        say("upper_case", headers=[("CONTENT-TYPE", JSON), ("ACCEPT", CSV)]),
        say("without_dash", headers=[("ContentType", CSV)]),
        say("like_content_type", headers=[("Content-Type-Options", "a/b"), ("Content-Type", JSON)]),
        say("several_accepts", headers=[("Content-Type", JSON), ("accept", "a/b"), ("Accept", "c/d")]),
        say("empty_accept", headers=[("Content-Type", JSON), ("Accept", ""), ("accept", "c/d")]),
        say("any_accept", headers=kinds(JSON, " */* ")),
        say("nothing", headers=()),
        say("a_header_named_body", headers=kinds(JSON, JSON, ("body", "hi"))),
        say("charset", headers=kinds("application/json; charset=utf-8")),
        say("expect", headers=kinds(JSON, JSON, ("Expect", "100-continue"))),
        Ask("chunked", b"3\r\n[1]\r\n0\r\n\r\n", CHUNKED),
        Ask("trailers", b"3;a=b\r\n[1]\r\n0\r\nX-Trail: 1\r\n\r\n", [*CHUNKED, ("Trailer", "X-Trail")]),
        Ask("many_headers", headers=kinds(JSON, JSON, *[(f"X-{number}", "v") for number in range(100)])),
        Ask("get", None, kinds(), "GET"),
        Ask("query", path="/invocations?a=b&c&a=%20d+e&body=f"),
        Ask("odd_query", path="/invocations?a=1;b=2&&c==d&=e&%66=g"),
        Ask("form", b"a=1&body=%5B2%5D", kinds(FORM)),
        Ask("file", with_file + END, PARTS),
        Ask("file_without_type", part(BODY + '; filename="f"', b"[1]") + END, PARTS),
        Ask("field_with_type", with_type + END, PARTS),
    ]


def answers() -> list[Ask]:
    """What a handler may say of an answer besides its body."""
    header, status = "set_response_header", "set_response_status"
    refused = {
        "newline": [header, 0, "X-A", "a\r\nX-B: 1"],
        "control": [header, 0, "X-A", "a\x00b"],
        "number": [header, 0, "X-A", 1],
        "none": [header, 0, "X-A", None],
        "name_with_space": [header, 0, "X A", "1"],
        "empty_name": [header, 0, "", "1"],
        "name_in_letters": [header, 0, "X-\u2603", "1"],
        "status_in_text": [status, "201", "x"],
        "half_status": [status, 201.0, "x"],
        "no_status": [status, -1, "x"],
        "phrase_of_lines": [status, 202, "a\nb"],
        "phrase_in_letters": [status, 202, "caf\u00e9"],
        "number_for_phrase": [status, 202, 5],
    }
    return [
        told("nothing"),
        *[
            told(f"status_{code}", [status, code, "Phrase"])
            for code in (201, 203, 204, 304, 400, 404, 418, 503)
        ],
        told("status_none", [status, None, "x"]),
        told("no_phrase", [status, 202]),
        told("status_of_all", ["set_all_response_status", 203, "all"]),
        told("status_of_another", [status, 203, "x", 1]),
        told("large_status", [status, 600, "x"], hotfire=500),
        told("headers", [header, 0, ATTRIBUTES, "a"], [header, 0, "X-B", "b c"]),
        told("header_twice", [header, 0, "X-A", "1"], [header, 0, "X-A", "2"]),
        told("header_in_two_cases", [header, 0, "X-A", "1"], [header, 0, "x-a", "2"]),
        told("header_in_letters", [header, 0, "X-A", "caf\u00e9 \u2603"]),
        told("empty_header", [header, 0, "X-A", ""]),
        told("long_header", [header, 0, "X-A", "v" * 9000]),
        told("type", ["set_response_content_type", 0, "a/b"]),
        told("type_by_header", [header, 0, "Content-Type", "a/b"]),
        told("type_by_header_and_tuple", [header, 0, "Content-Type", "a/b"], type="c/d"),
        told("type_in_lower_case", [header, 0, "content-type", "a/b"]),
        told("length", [header, 0, "Content-Length", "1"]),
        told("coming_and_going", [header, 0, "Connection", "close"], [header, 0, "Pragma", "x"]),
        told("then_raises", [header, 0, "X-A", "1"], [status, 202, "x"], **{"raise": "bad"}),
        told("typed_then_raises", ["set_response_content_type", 0, "a/b"], **{"raise": "bad"}),
        told("no_such_request", [header, 5, "X-A", "1"]),
        told("no_such_method", ["nobody"]),
        told("type_none", type=None),
        told("type_empty", type=""),
        told("type_of_lines", type="a/b\r\nX-A: 1"),
        told("long_type", type="a/" + "b" * 3000),
        *[told("refused_" + name, order) for name, order in refused.items()],
        told("after"),
    ]


def told(name: str, *context: Sequence[Any], hotfire: int | None = None, **more: Any) -> Ask:
    """What the handler is to tell its context, and what to answer or to raise."""
    return say(name, {"context": context, **more}, hotfire=hotfire)


def failures() -> list[Ask]:
    """Each failure, a few of them in each function, and a request after those that cost a worker."""
    asks = [say("fine", ["", ""])]
    for name, statement in FAILURES.items():
        places = ("input", "predict", "output") if name in EVERYWHERE else ("predict",)
        asks += [say(f"{place}_{name}", [place, statement]) for place in places]
        if name in DEADLY:
            asks.append(say(f"after_{name}", ["", ""]))
    return asks


def more_failures() -> list[Ask]:
    """Rarer failures, each with a request after it."""
    asks = []
    for name, statement in MORE_FAILURES.items():
        asks += [say(name, ["predict", statement]), say(f"after_{name}", ["", ""])]
    return asks


def managed() -> list[Ask]:
    """The addresses of TorchServe's own interface."""
    got = (
        "/models/model/2.0|/models/x/1.0|/predictions/model|/predictions/model/1.0|/predictions|/explanations/model"
        "|/v2/models|/v2|/invocations|/model|/model/|/ping/ping|/execution-parameters|/metrics?name[]=a|/kill"
        "|/index.html|/%70ing|/PING|/ping%20|/.|/..|/ping/..|/invocations/../ping|/?a=b|/%2F|/%00"
    )
    posted = (
        "/models|/models?url=nowhere.mar|/models/model/1.0|/predictions/model|/predictions/model/1.0"
        "|/predictions/model/1.0/|/predictions/model/1.0/a/b|/predictions/model/1.0/a/b?c=d|/predictions/model/2.0/a"
        "|/predictions/model?a=b|/predictions/model/a|/explanations/model|/explanations/model/1.0|/explanations/x"
        "|/explanations|/explanations/model?a=b|/invocations/model|/model/invoke|/models/model/1.0/invoke"
        "|/models/model/predict|/metrics|/model/x/predict"
    )
    return [
        *[get(name, path) for name, path in numbered("get", got)],
        *[Ask(name, path=path) for name, path in numbered("post", posted)],
        *[Ask(name, None, (), "PUT", path) for name, path in numbered("put", "/models|/models/model/2.0")],
        *[
            Ask(name, None, (), "DELETE", path)
            for name, path in numbered("delete", "/models|/models/model/2.0")
        ],
        Ask("after"),
    ]


def forms() -> list[Ask]:
    """Forms of both kinds, well made and not."""
    lines = (
        "body=a|body=%5B1%2C+2%5D|body=caf%C3%A9|body=caf\xe9|body=%FF|body=1&body=2|body=|body|body&a=1|a=1&body"
        "|body=a;b=c|&&body=a|body=a&|body=a=b| body = a|body=a\r\nb=c|body=a\rb|%62ody=a|%ZZ=a"
        "|body=a%ZZ|body=a%4|=a|Body=a|?body=a|"
    )
    types = (
        'multipart/form-data; boundary="XX"|multipart/form-data;boundary=XX|multipart/form-data; boundary=XX;'
        "|multipart/form-data; charset=utf-8; boundary=XX|multipart/form-data; boundary=XX; charset=utf-8"
        "|multipart/form-data; boundary=XX; charset=nobody|multipart/form-data|multipart/form-data; boundary="
        "|multipart/form-data; a=b; c=d; boundary=XX|multipart/form-data; boundary= XX"
        "|Multipart/Form-Data; boundary=XX|multipart/mixed; boundary=XX|multipart/form-data, boundary=XX"
    )
    one = part(BODY, b"a") + END
    return [
        *[Ask(name, line.encode("latin-1"), kinds(FORM)) for name, line in numbered("line", lines)],
        Ask("line_in_upper_case", b"body=a", kinds(FORM.upper())),
        Ask("line_with_charset", b"body=a", kinds(FORM + "; charset=utf-8")),
        Ask("line_by_get", b"body=a", kinds(FORM), "GET"),
        Ask("line_and_query", b"a=1", kinds(FORM), path="/invocations?body=b&body=c"),
        *[Ask("parts_" + name, body, PARTS) for name, body in bodies().items()],
        *[Ask(name, one, kinds(kind)) for name, kind in numbered("type", types)],
    ]


def bodies() -> dict[str, bytes]:
    """Bodies of forms in parts."""
    one, file = part(BODY, b"a") + END, BODY + '; filename="f"'
    return {
        "field": one,
        "fields": part('form-data; name="a"', b"b") + part(BODY, b"c") + END,
        "twice": part(BODY, b"a") + part(BODY, b"b") + END,
        "file": part(file, b"\x00\xff", "Content-Type: a/b") + END,
        "nameless_file": part(BODY + '; filename=""', b"a") + END,
        "other": part('form-data; name="other"; filename="f"', b"a") + END,
        "empty": part(BODY, b"") + END,
        "lines": part(BODY, b"a\r\nb\r\n") + END,
        "like_delimiter": part(BODY, b"--X\r\n--XY") + END,
        "plain_name": part("form-data; name=body", b"a") + END,
        "single_quotes": part("form-data; name='body'", b"a") + END,
        "other_cases": part('FORM-DATA; NAME="body"', b"a") + END,
        "quoted_semicolon": part('form-data; name="a;b"', b"c") + part(BODY, b"d") + END,
        "base64": part(BODY, b"eHl6", "Content-Transfer-Encoding: base64") + END,
        "base64_file": part(file, b"eHl6", "Content-Transfer-Encoding: base64") + END,
        "binary_file": part(file, b"\x01", "Content-Transfer-Encoding: binary") + END,
        "after": one + b"b",
        "bare_newlines": one.replace(b"\r", b""),
        "no_name": part("form-data", b"a") + END,
        "attachment": part('attachment; name="body"', b"a") + END,
        "no_disposition": b"--XX\r\nContent-Type: a/b\r\n\r\na\r\n" + END,
        "no_end": part(BODY, b"a"),
        "no_head": b'--XX\r\nContent-Disposition: form-data; name="bo',
        "no_delimiter": b"a",
        "nothing": b"",
        "only_end": END,
        "before": b"a\r\n" + one,
        "another_delimiter": one.replace(b"XX", b"YY"),
        "space_after_delimiter": one.replace(b"--XX\r\nC", b"--XX \r\nC"),
    }


def part(disposition: str, body: bytes, *headers: str) -> bytes:
    """A part of a form, with the delimiter before it."""
    head = "\r\n".join(["--XX", "Content-Disposition: " + disposition, *headers])
    return head.encode() + b"\r\n\r\n" + body + b"\r\n"


def addresses() -> list[Ask]:
    """Addresses and methods."""
    invoked = (
        "/invocations|/invocations/|/invocations//|/invocations%2F|/%69nvocations|/invocations?"
        "|/invocations?model_name=|/invocations?model_name=model|/models/model/invoke|/model/predict"
        "|/model/1.0/predict"
    )
    refused = (
        "/|/foo|/Invocations|//invocations|/invocations/x|/invocations%20|/invocations;a=b|/invocations?model_name=x"
        "|/invocations?a=%ZZ|/invocations?a=%4|/invocations%ZZ|/invocations/predict|/predictions|/predictions/x"
        "|/predictions/model/2.0|/models|/models/x/invoke|/models/model/x|/x/predict|/v2/health/ready|/favicon.ico"
    )
    pings = "/ping|/ping/|/ping/x|/ping?a=b|/ping/predict|/ping%2F"
    methods = ("PUT", "PATCH", "DELETE", "HEAD", "TRACE", "PROPFIND")
    return [
        *[Ask(name, path=path) for name, path in numbered("invoked", invoked)],
        *[Ask(name, path=path) for name, path in numbered("refused", refused)],
        *[get(name, path) for name, path in numbered("pinged", pings)],
        get("root", "/"),
        get("metrics", "/metrics"),
        *[Ask(f"{method.lower()}_invocations", method=method) for method in methods],
        *[Ask(f"{method.lower()}_ping", None, (), method, "/ping") for method in ("POST", *methods)],
        *[Ask(f"{method.lower()}_foo", None, (), method, "/foo") for method in methods],
        get("absolute", "http://127.0.0.1:8080/ping", hotfire=200),
        Ask("unknown_method", method="FOO", hotfire=400),
    ]


def edges() -> list[Ask]:
    """Requests at the edges of HTTP and of TorchServe's limits."""
    first = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    sized = first + b"Content-Length: 3\r\n"
    both = sized + b"Transfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n"
    sent = {
        "upgrade": sized + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n[1]",
        "no_length": first + b"\r\n[1]",
        "short_length": first + b"Content-Length: 2\r\n\r\n[1]",
        "no_number": first + b"Content-Length: a\r\n\r\n[1]",
        "two_lengths": sized + b"Content-Length: 2\r\n\r\n[1]",
        "no_chunk": first + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[1]\r\n0\r\n\r\n",
        "huge_length": first + b"Content-Length: 99999999999\r\n\r\n",
        "odd_expectation": sized + b"Expect: a\r\n\r\n[1]",
        "no_http": b"hello\r\n\r\n",
        "no_colon": sized + b"garbage\r\n\r\n[1]",
        "space_before_colon": sized + b"X-A : b\r\n\r\n[1]",
        "old": sized.replace(b"1.1", b"1.0") + b"\r\n[1]",
        "no_host": b"GET /ping HTTP/1.1\r\n\r\n",
        "close": sized + b"Connection: close\r\n\r\n[1]",
    }
    unlike = {
        "folded": sized + b"X-A: a\r\n b\r\n\r\n[1]",
        "length_and_chunks": both,
        "bare_newlines": (sized + b"\r\n[1]").replace(b"\r", b""),
    }
    line, lines = len("POST /invocations?a= HTTP/1.1"), len("Host: 127.0.0.1:8080" + "X-L: ")
    expecting, chunked = [("Expect", "100-continue")], [("Transfer-Encoding", "chunked")]
    chunk = Repeated(b"a", LIMIT + 1, b"%x\r\n" % (LIMIT + 1), b"\r\n0\r\n\r\n")
    return [
        *[Ask(name, raw=raw) for name, raw in sent.items()],
        *[Ask(name, raw=raw, hotfire=400) for name, raw in unlike.items()],
        *[Ask(f"line_{size}", path="/invocations?a=" + "x" * (size - line)) for size in (4095, 4096)],
        *[
            Ask(f"headers_{size}", None, [("X-L", "v" * (size - lines))], "GET", "/ping")
            for size in (8191, 8192)
        ],
        Ask("at_the_limit", Repeated(b"a", LIMIT), OCTETS),
        Ask("over_the_limit", Repeated(b"a", LIMIT + 1), OCTETS),
        Ask("over_the_limit_expecting", Repeated(b"a", LIMIT + 1), [*OCTETS, *expecting]),
        Ask("over_the_limit_in_chunks", chunk, [*OCTETS, *chunked]),
        Ask("over_the_limit_elsewhere", Repeated(b"a", LIMIT + 1), OCTETS, path="/ping"),
        Ask("after"),
    ]


def framed() -> list[Ask]:
    """Requests that are framed in rarer ways."""
    first = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    sized, chunked = first + b"Content-Length: 3\r\n", b"\r\n3\r\n[1]\r\n0\r\n\r\n"
    ping, end = b"GET /ping HTTP/1.1\r\n", b"Host: a\r\n\r\n"
    sent = {
        "upper_chunked": first + b"TRANSFER-ENCODING: Chunked\r\n" + chunked,
        "identity": sized + b"Transfer-Encoding: identity\r\n\r\n[1]",
        "hex_chunk": first + b"Transfer-Encoding: chunked\r\n\r\n0003\r\n[1]\r\n0\r\n\r\n",
        "many_chunks": first + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n1\r\n1\r\n]\r\n0\r\n\r\n",
        "no_chunks": first + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "gzip_body": sized + b"Content-Encoding: gzip\r\n\r\n[1]",
        "same_length_twice": sized + b"Content-Length: 3\r\n\r\n[1]",
        "length_list": first + b"Content-Length: 3, 3\r\n\r\n[1]",
        "signed_length": first + b"Content-Length: +3\r\n\r\n[1]",
        "empty_length": first + b"Content-Length:\r\n\r\n",
        "zero_length": first + b"Content-Length: 0\r\n\r\n",
        "spaced_length": first + b"Content-Length:   3  \r\n\r\n[1]",
        "zeros_before_length": first + b"Content-Length: 0003\r\n\r\n[1]",
        "lines_before": b"\r\n\r\n" + ping + end,
        "two_spaces": b"GET  /ping  HTTP/1.1\r\n" + end,
        "later_version": b"GET /ping HTTP/1.2\r\n" + end,
        "other_protocol": b"GET /ping ICE/1.0\r\n" + end,
        "no_version": b"GET /ping\r\n" + end,
        "no_path": b"GET HTTP/1.1\r\n" + end,
        "star": b"GET * HTTP/1.1\r\n" + end,
        "no_slash": b"GET ping HTTP/1.1\r\n" + end,
        "fragment": b"GET /ping#a HTTP/1.1\r\n" + end,
        "lower_method": b"get /ping HTTP/1.1\r\n" + end,
        "old_kept": b"GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n" + end,
        "two_hosts": ping + b"Host: b\r\n" + end,
        "empty_host": ping + b"Host:\r\n\r\n",
        "odd_name": ping + b"X@A: b\r\n" + end,
        "empty_name": ping + b": b\r\n" + end,
        "zero_in_value": ping + b"X-A: a\x00b\r\n" + end,
        "letters_in_value": sized + b"X-A: \xff\xc3\xa9\r\n\r\n[1]",
        "letters_in_path": b"GET /ping?\xc3\xa9 HTTP/1.1\r\n" + end,
        "quotes_in_path": b'GET /ping?a="b"|{} HTTP/1.1\r\n' + end,
        "underscore": sized + b"X_A: b\r\n\r\n[1]",
        "options_ping": b"OPTIONS /ping HTTP/1.1\r\n" + end,
        "body_on_ping": b"GET /ping HTTP/1.1\r\nContent-Length: 3\r\n" + end + b"[1]",
        "get_with_body": sized.replace(b"POST", b"GET") + b"\r\n[1]",
        "continue_on_ping": ping + b"Expect: 100-continue\r\n" + end,
        "expect_in_upper_case": sized + b"Expect: 100-CONTINUE\r\n\r\n[1]",
    }
    refused = ("identity", "signed_length", "later_version", "other_protocol", "no_slash", "lower_method")
    unlike = {"no_version": 200, "star": 404, **dict.fromkeys((*refused, "odd_name", "letters_in_path"), 400)}
    return [Ask(name, raw=raw, hotfire=unlike.get(name)) for name, raw in sent.items()] + [Ask("after")]


def decoded() -> list[Ask]:
    """What the toolkit's own `input_fn` makes of bodies."""
    texts = (
        '{"a": 1}|null|[true, null]|[]|[[]]|[[[1, 2]]]|[123456789012345678901234567890]|[1e400]|[NaN]'
        '|[1,]|["a"]|["1"]|[1, "a"]|[1] x| [1] |[[1], [2, 3]]|{"a": 1, "a": 2}|[01]|\ufeff[1]'
    )
    rows = (
        'a,b\n1,2|1\n2|1,2\n\n3,4\n|1,2\r\n3,4\r\n|1,2\r3,4|"1","2"| 1 , 2 |# c\n1,2|1,,3|1,2,|1.5,nan|é,1'
        "|1;2|\n|   |True,False|1,a|inf,1|1,2\n3,4,5|2020-01-01|\ufeff1,2"
    )
    accepts = f"*/*||{CSV}|{NPY}|{NPZ}|a/b|{JSON}, {CSV}|a/b, {CSV}|{CSV};q=1|Text/CSV"
    types = f"{JSON}; charset=utf-8|Application/JSON|{CSV}; header=present|a/b|*/*|"
    whole = npy(numpy.ones(2))
    files = {"cut": whole[:-4], "longer": whole + b"x", "empty": b"", "zeros": b"\0" * 200}
    matrix = b"[[1, 2], [3, 4]]"
    return [
        *[Ask(name, text.encode()) for name, text in numbered("json", texts)],
        Ask("json_no_utf8", b'["\xff"]'),
        Ask("json_no_body", None),
        *[Ask(name, text.encode(), kinds(CSV)) for name, text in numbered("csv", rows)],
        Ask("csv_no_utf8", b"\xff,1", kinds(CSV)),
        *[Ask("npy_" + name, npy(array), kinds(NPY)) for name, array in arrays().items()],
        *[Ask("npy_file_" + name, data, kinds(NPY)) for name, data in files.items()],
        *[Ask(name, matrix, kinds(JSON, kind)) for name, kind in numbered("accept", accepts)],
        *[Ask(name, matrix, kinds(kind)) for name, kind in numbered("type", types)],
    ]


def arrays() -> dict[str, Any]:
    """Arrays of several types and shapes."""
    return {
        "float16": numpy.ones(2, "f2"),
        "int64": numpy.ones(2, "i8"),
        "uint16": numpy.ones(2, "u2"),
        "bool": numpy.ones(2, "?"),
        "complex": numpy.ones(2, "c8"),
        "fortran": numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        "scalar": numpy.array(3.0),
        "empty": numpy.empty((0, 3)),
        "big_endian": numpy.ones(2, ">f8"),
        "text": numpy.array(["a"]),
        "object": numpy.array([1.5, 2], dtype=object),
        "date": numpy.array(["2020-01-01"], dtype="M8[D]"),
    }


def npy(array: Any) -> bytes:
    """An array as a file."""
    stream = io.BytesIO()
    numpy.save(stream, array)
    return stream.getvalue()


def results() -> list[Ask]:
    """What is made of each kind of result, and of a few for another `Accept`."""
    return [
        *[say(name, expression) for name, expression in numbered("result", RESULTS)],
        say("accept_csv", "'text'", kinds(JSON, CSV)),
        say("accept_csv_typed", "('text', 'a/b')", kinds(JSON, CSV)),
        say("accept_nothing", "'text'", kinds(JSON, None)),
        say("at_the_limit", f"'x' * {LIMIT}"),
        say("after", "'text'"),
    ]


def encoded() -> list[Ask]:
    """What the toolkit's own `output_fn` makes of predictions."""
    return [
        say(f"{name}_{form}", expression, kinds(JSON, kind))
        for name, expression in numbered("prediction", PREDICTIONS)
        for form, kind in {"json": JSON, "csv": CSV, "npy": NPY}.items()
    ]
