"""The public API: plain JSON in, plain JSON out."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from hotfire.address import Exposure, Key
from hotfire.app_inputs import Input, Kind
from hotfire.app_schema import App, Body, Output, Shown
from hotfire.console.openapi import ERRORS
from hotfire.console.predictions import MOST_BYTES
from hotfire.console.public import PublicApi
from hotfire.errors import ModelError, ServiceError, Throttling, ValidationError
from hotfire.instances.base import Answer
from hotfire.region.api_keys import ApiKeys
from hotfire.region.apps import PageExample
from hotfire.region.caller import Caller
from hotfire.region.runtime import Outcome
from hotfire.region.store import Store
from hotfire.region.wire import Request, Response
from hotfire.resources import Endpoint
from hotfire.server.gate import Gate, Visitors
from hotfire.server.guests import Guests

KEY = Key("HOTFIREABCDEFGHIJKLM", "secret")
HOST = "127.0.0.1:4774"
LOCAL = Exposure()
LOCAL_NAMES = ("localhost:4774", "[::1]:4774", "127.0.0.2:4774")
PAGE = "https://app.example"
TRACEBACK = "Traceback (most recent call last):\n  File secret.py"

TEXTS = App(
    "News",
    "Sorts headlines.",
    (Input("text", Kind.LONG_TEXT, examples=("A match",)),),
    [["{text}"]],
    outputs=(Output(Shown.LABEL),),
)
FLOWERS = App(
    inputs=(Input("length", Kind.NUMBER, min=0, max=9), Input("kind", Kind.CHOICE, choices=("a", "b")))
)
FLOWERS = App(
    inputs=(Input("length", Kind.NUMBER, min=0, max=9), Input("kind", Kind.CHOICE, choices=("a", "b"))),
    template={"length": "{length}", "kind": "{kind}"},
    batch=False,
)
PICTURES = App(inputs=(Input("image", Kind.IMAGE),))
UNKNOWN = App()
APPS = {"news": TEXTS, "flowers": FLOWERS, "pictures": PICTURES, "raw": UNKNOWN}


class Apps:
    def __init__(self) -> None:
        self.apps = dict(APPS)

    def of(self, endpoint: str) -> App:
        return self.apps[endpoint]

    def examples(self, endpoint: str) -> list[PageExample]:
        wrong = PageExample("wrong", b'[["nonsense"]]', "application/json", status=400)
        right = PageExample("match", b'[["A tennis match"]]', "application/json")
        return [wrong, right] if endpoint == "news" else []


class Echo:
    """Models that answer what they are asked, as `answers` has it; `asked` is what came."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Body, str]] = []
        self.answer: Any = None
        self.content_type = "application/json"

    async def ask(self, caller: Caller, params: Mapping[str, Any]) -> Outcome:
        body = Body(params["Body"], params["ContentType"])
        self.asked.append((params["EndpointName"], body, params.get("Accept", "")))
        request = f"id-{len(self.asked)}"
        await asyncio.sleep(0)
        answer = self.answer(body) if callable(self.answer) else self.answer
        if isinstance(answer, ServiceError):
            return Outcome(1, "v", 0.5, None, answer, request)
        if isinstance(answer, Exception):
            raise answer
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        answered = Answer(200, {"Content-Type": self.content_type}, raw, {"predict_fn": 0.25})
        return Outcome(1, "v", 0.5, answered, None, request)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        for name in APPS:
            store.put_endpoint(Endpoint(name, f"arn:{name}", "c", "InService", 1.0, 1.0))
        yield store


@pytest.fixture
def models() -> Echo:
    return Echo()


@pytest.fixture
def apps() -> Apps:
    return Apps()


@pytest.fixture
def keys(store: Store) -> ApiKeys:
    return ApiKeys(store)


@pytest.fixture
def visitors() -> Visitors:
    return Visitors(KEY, 4774)


class Api:
    """The API of a region as one client sees it, by default a program of this machine."""

    def __init__(
        self, api: PublicApi, keys: ApiKeys, visitors: Visitors, exposure: Exposure, is_here: bool
    ) -> None:
        names = frozenset({HOST, *LOCAL_NAMES, "10.0.0.1:4774", "models.example"})
        gate = Gate(KEY, names, origins=exposure.origins)
        self._api, self._door = (
            api,
            Guests(gate, keys, visitors, needs_key=not exposure.is_local).door(is_here=is_here),
        )

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        named = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(self._api.respond(Request(method, path, "", named, body), self._door))

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        response = self.ask("GET", path, **headers)
        return response.status, json.loads(response.body)

    def predict(self, model: str, value: Any, **headers: str) -> tuple[int, Any]:
        given = {"content_type": "application/json", **headers}
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        response = self.ask("POST", f"/api/models/{model}/predict", body, **given)
        return response.status, json.loads(response.body)


@pytest.fixture
def region(store: Store, apps: Apps, models: Echo, keys: ApiKeys, visitors: Visitors) -> Any:
    """`region(exposure, is_here=...)`."""

    def region(exposure: Exposure = LOCAL, *, is_here: bool = True) -> Api:
        return Api(PublicApi(store, apps, models), keys, visitors, exposure, is_here)

    return region


@pytest.fixture
def api(region: Any) -> Api:
    found: Api = region()
    return found


@pytest.fixture
def opened(region: Any) -> Api:
    """That of a region which others reach."""
    found: Api = region(Exposure("0.0.0.0", origins=(PAGE,)), is_here=False)
    return found


def headers_of(response: Response) -> dict[str, str]:
    return dict(response.headers)


def code_of(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


# Predictions


def test_one_input_is_predicted(api: Api, models: Echo) -> None:
    models.answer = [{"label": "Sports"}]
    status, told = api.predict("news", {"text": "A match"})
    assert (status, told["model"], told["prediction"]) == (200, "news", {"label": "Sports"})
    assert models.asked == [("news", Body(b'[["A match"]]', "application/json"), "")]


def test_the_time_and_the_id_are_told(api: Api, models: Echo) -> None:
    models.answer = [1]
    _, told = api.predict("news", {"text": "A match"})
    assert (told["times"], told["request"]) == ({"predict_fn": 0.25}, "id-1")
    assert 0 < told["seconds"] < 10


def test_of_the_only_input_its_value_will_do(api: Api, models: Echo) -> None:
    models.answer = [1]
    assert api.predict("news", "A match")[0] == 200
    assert models.asked[0][1].body == b'[["A match"]]'


def test_several_inputs_go_in_one_request_where_the_model_takes_several(api: Api, models: Echo) -> None:
    models.answer = [1, 2]
    status, told = api.predict("news", [{"text": "a"}, {"text": "b"}])
    assert (status, told["predictions"], "prediction" in told) == (200, [1, 2], False)
    assert [body.body for _, body, _ in models.asked] == [b'[["a"], ["b"]]']


def test_a_list_of_one_is_answered_by_a_list(api: Api, models: Echo) -> None:
    models.answer = [1]
    assert api.predict("news", [{"text": "a"}])[1]["predictions"] == [1]


def test_several_inputs_go_one_by_one_where_it_takes_one(api: Api, models: Echo) -> None:
    models.answer = lambda body: json.loads(body.body)["length"]
    inputs = [{"length": number, "kind": "a"} for number in range(9)]
    status, told = api.predict("flowers", inputs)
    assert (status, told["predictions"]) == (200, list(range(9)))
    assert told["times"] == {"predict_fn": 9 * 0.25}


def test_an_answer_that_is_not_one_for_each_input_is_told_as_a_whole(api: Api, models: Echo) -> None:
    models.answer = {"mean": 1}
    status, told = api.predict("news", [{"text": "a"}, {"text": "b"}])
    assert (status, told["prediction"]) == (200, {"mean": 1})


def test_without_a_schema_the_json_is_the_body(api: Api, models: Echo) -> None:
    models.answer = {"ä": 1}
    given = {"anything": [1, None, "ü"]}
    status, told = api.predict("raw", given)
    assert (status, told["prediction"], json.loads(models.asked[0][1].body)) == (200, {"ä": 1}, given)


def test_an_image_comes_in_base64(api: Api, models: Echo) -> None:
    models.answer = "cat"
    assert api.predict("pictures", {"image": "iVBORw0KGgo="})[1]["prediction"] == "cat"
    assert models.asked[0][1] == Body(b"\x89PNG\r\n\x1a\n", "image/png")


def test_bytes_are_answered_in_base64(api: Api, models: Echo) -> None:
    models.answer, models.content_type = b"\x89PNG\r\n\x1a\n", "image/png"
    prediction = api.predict("raw", 1)[1]["prediction"]
    assert prediction == {"content_type": "image/png", "base64": "iVBORw0KGgo="}


def test_text_is_answered_as_text(api: Api, models: Echo) -> None:
    models.answer, models.content_type = b"hello", "text/plain"
    assert api.predict("raw", 1)[1]["prediction"] == "hello"


def test_what_json_does_not_have_is_null(api: Api, models: Echo) -> None:
    models.answer = [float("nan"), {"a": float("inf")}, 1.5]
    assert api.predict("raw", 1)[1]["prediction"] == [None, {"a": None}, 1.5]


# What is wrong with a request


@pytest.mark.parametrize(
    ("model", "value", "path", "words"),
    [
        ("news", {"text": 1}, "text", "text must be text, not 1."),
        ("news", {"txt": "a"}, "txt", "txt is no input; there are text."),
        ("news", [{"text": "a"}, {"text": None}], "[1].text", "[1].text must be text"),
        ("flowers", {"length": 10, "kind": "a"}, "length", "length must be 9 or less, not 10."),
        ("flowers", {"length": 1, "kind": "c"}, "kind", "kind must be one of"),
        ("flowers", {"length": 1}, "kind", "kind is missing."),
        ("pictures", {"image": "%"}, "image", "image must be bytes in base64"),
        ("news", [], "", "the list has 0 inputs"),
    ],
)
def test_what_does_not_fit_the_schema_is_told_with_its_place(
    api: Api, models: Echo, model: str, value: Any, path: str, words: str
) -> None:
    status, told = api.predict(model, value)
    error = told["error"]
    assert (status, error["code"], error.get("path", "")) == (400, "invalid_input", path)
    assert words in error["message"]
    assert models.asked == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_told(api: Api, body: bytes) -> None:
    assert code_of(api.predict("news", body)) == (400, "invalid_json")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_elsewhere_could_send_is_refused(api: Api, models: Echo, kind: str) -> None:
    assert code_of(api.predict("news", {"text": "a"}, content_type=kind)) == (415, "not_json")
    assert models.asked == []


def test_a_body_that_is_too_long_for_a_model_is_refused(api: Api, models: Echo) -> None:
    assert code_of(api.predict("news", {"text": "a" * MOST_BYTES})) == (413, "too_large")
    assert models.asked == []


@pytest.mark.parametrize("path", ["/api/models/absent", "/api/models/absent/openapi.json"])
def test_a_model_that_is_not_there_is_told(api: Api, path: str) -> None:
    assert code_of(api.get(path)) == (404, "unknown_model")


def test_what_is_not_there_is_told(api: Api) -> None:
    assert code_of(api.get("/api/other")) == (404, "unknown_address")
    response = api.ask("GET", "/api/models/news/predict")
    assert (response.status, headers_of(response)["allow"]) == (405, "POST")
    assert code_of(api.predict("absent", 1)) == (404, "unknown_model")


# What models do


def model_error(status: int) -> ModelError:
    return ModelError("failed", OriginalStatusCode=status, OriginalMessage=TRACEBACK, LogStreamArn="arn")


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (model_error(500), 502, "model_failed", None),
        (model_error(400), 502, "model_failed", None),
        (model_error(0), 504, "model_timed_out", None),
        (Throttling("full"), 429, "throttled", "1"),
        (ValidationError(f"Endpoint news is Failed: {TRACEBACK}"), 503, "not_in_service", "5"),
        (ServiceError(TRACEBACK), 500, "internal", None),
    ],
)
def test_what_a_model_did_is_told_without_its_traceback(
    api: Api, models: Echo, error: Exception, status: int, code: str, retry: str | None
) -> None:
    models.answer = error
    response = api.ask("POST", "/api/models/news/predict", b'"a"', content_type="application/json")
    assert (response.status, json.loads(response.body)["error"]["code"]) == (status, code)
    assert headers_of(response).get("retry-after") == retry
    assert b"secret.py" not in response.body


def test_of_several_inputs_the_one_that_failed_is_named(api: Api, models: Echo) -> None:
    models.answer = lambda body: model_error(500) if json.loads(body.body)["length"] == 5 else 1
    inputs = [{"length": number, "kind": "a"} for number in range(9)]
    assert api.predict("flowers", inputs)[1]["error"]["path"] == "[5]"


def test_the_owner_is_told_what_the_model_said(api: Api, models: Echo, visitors: Visitors) -> None:
    cookie = str(visitors.enter(visitors.issue())).partition(";")[0]
    models.answer = model_error(500)
    assert api.predict("news", "a", cookie=cookie)[1]["error"]["detail"] == TRACEBACK


# Who may ask


def test_programs_of_this_machine_need_no_key(api: Api) -> None:
    assert api.get("/api/models")[0] == 200


@pytest.mark.parametrize("host", LOCAL_NAMES)
def test_the_loopback_has_several_names(api: Api, host: str) -> None:
    assert api.get("/api/models", host=host)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "models.example"},
        {"host": "10.0.0.1:4774"},
        {"x_forwarded_for": "10.0.0.1"},
        {"forwarded": "for=10.0.0.1"},
        {"via": "1.1 proxy"},
    ],
)
def test_what_comes_through_a_proxy_needs_a_key(api: Api, headers: dict[str, str]) -> None:
    assert code_of(api.get("/api/models", **headers)) == (401, "key_needed")


def test_where_others_reach_the_region_everybody_needs_a_key(region: Any, keys: ApiKeys) -> None:
    _, secret = keys.create("phone", [], None)
    for is_here in (True, False):
        opened = region(Exposure("0.0.0.0"), is_here=is_here)
        assert code_of(opened.get("/api/models")) == (401, "key_needed")
        assert opened.get("/api/models", x_api_key=secret)[0] == 200


@pytest.mark.parametrize("name", ["authorization", "x_api_key"])
def test_a_key_comes_in_either_header(opened: Api, models: Echo, keys: ApiKeys, name: str) -> None:
    _, secret = keys.create("phone", ["news"], None)
    models.answer = [1]
    header = {name: f"Bearer {secret}" if name == "authorization" else secret}
    assert opened.predict("news", "a", **header)[0] == 200


@pytest.mark.parametrize(
    "header",
    [
        {"x_api_key": "hotfire_guess"},
        {"x_api_key": ""},
        {"authorization": "Bearer hotfire_guess"},
        {"authorization": "bearer "},
        {"authorization": "Bearer schl\xfcssel"},
    ],
)
def test_a_wrong_key_is_refused_also_where_none_is_needed(
    api: Api, opened: Api, header: dict[str, str]
) -> None:
    for one in (api, opened):
        response = one.ask("GET", "/api/models", **header)
        assert (response.status, json.loads(response.body)["error"]["code"]) == (401, "key_unknown")
        assert headers_of(response)["www-authenticate"].startswith("Bearer")


def test_a_key_that_expired_or_was_taken_back_is_told_as_one_that_never_was(
    opened: Api, store: Store, keys: ApiKeys
) -> None:
    _, revoked = keys.create("a", [], None)
    keys.revoke("a")
    _, expired = keys.create("b", [], -1)
    answers = [opened.get("/api/models", x_api_key=secret) for secret in (revoked, expired, "hotfire_guess")]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 401


def test_a_key_for_one_model_opens_no_other(opened: Api, models: Echo, keys: ApiKeys) -> None:
    _, secret = keys.create("phone", ["news"], None)
    assert code_of(opened.predict("flowers", {}, x_api_key=secret)) == (403, "not_your_model")
    assert opened.get("/api/models/flowers", x_api_key=secret)[0] == 403
    assert models.asked == []


def test_a_key_for_one_model_does_not_tell_what_others_there_are(opened: Api, keys: ApiKeys) -> None:
    _, secret = keys.create("phone", ["news"], None)
    there, absent = (opened.get(f"/api/models/{name}", x_api_key=secret) for name in ("raw", "absent"))
    assert there == absent
    listed = opened.get("/api/models", x_api_key=secret)[1]["models"]
    assert [model["name"] for model in listed] == ["news"]
    document = opened.get("/api/openapi.json", x_api_key=secret)[1]
    assert [path for path in document["paths"] if "raw" in path or "flowers" in path] == []


def test_without_a_key_nothing_is_told(opened: Api) -> None:
    paths = ["/api/models", "/api/models/news", "/api/models/absent", "/api/openapi.json", "/api/other"]
    assert {json.dumps(opened.get(path)) for path in paths} == {json.dumps(opened.get("/api/models"))}


def test_the_owners_browser_needs_no_key(opened: Api, visitors: Visitors) -> None:
    cookie = str(visitors.enter(visitors.issue())).partition(";")[0]
    assert opened.get("/api/models", cookie=cookie)[0] == 200


# Pages of other origins


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:3000", f"{PAGE}:444"])
def test_a_page_that_is_not_listed_gets_nothing(region: Any, models: Echo, origin: str) -> None:
    api = region(Exposure(origins=(PAGE,)))
    asked = api.ask(
        "OPTIONS", "/api/models/news/predict", origin=origin, access_control_request_method="POST"
    )
    sent = api.ask("POST", "/api/models/news/predict", b'"a"', origin=origin, content_type="application/json")
    for response in (asked, sent):
        assert response.status == 403
        assert [name for name, _ in response.headers if name.startswith("access-control")] == []
    assert models.asked == []


def test_a_listed_page_is_told_that_it_may_ask(opened: Api) -> None:
    response = opened.ask(
        "OPTIONS", "/api/models/news/predict", origin=PAGE, access_control_request_method="POST"
    )
    told = headers_of(response)
    assert (response.status, told["access-control-allow-origin"], told["vary"]) == (204, PAGE, "origin")
    assert "POST" in told["access-control-allow-methods"]
    assert {"authorization", "content-type", "x-api-key"} == set(
        told["access-control-allow-headers"].split(", ")
    )
    assert "access-control-allow-credentials" not in told


def test_a_listed_page_is_told_of_its_errors_too(opened: Api) -> None:
    response = opened.ask("GET", "/api/models", origin=PAGE)
    assert (response.status, headers_of(response)["access-control-allow-origin"]) == (401, PAGE)


def test_a_listed_page_asks_with_a_key(opened: Api, models: Echo, keys: ApiKeys) -> None:
    _, secret = keys.create("page", ["news"], None)
    models.answer = [1]
    assert opened.predict("news", "a", origin=PAGE, authorization=f"Bearer {secret}")[0] == 200


def test_a_cookie_speaks_for_no_page_elsewhere(opened: Api, visitors: Visitors) -> None:
    cookie = str(visitors.enter(visitors.issue())).partition(";")[0]
    assert code_of(opened.get("/api/models", origin=PAGE, cookie=cookie)) == (401, "key_needed")


def test_a_model_lists_pages_for_itself_alone(api: Api, apps: Apps, models: Echo) -> None:
    apps.apps["news"] = App(inputs=TEXTS.inputs, template=TEXTS.template, origins=("https://news.example",))
    models.answer = [1]
    headers = {"origin": "https://news.example"}
    assert api.predict("news", "a", **headers)[0] == 200
    assert api.predict("raw", "a", **headers)[0] == 403
    assert api.get("/api/models", **headers)[0] == 403


def test_no_answer_is_kept_by_a_cache_or_taken_for_a_page(api: Api) -> None:
    told = headers_of(api.ask("GET", "/api/models"))
    assert (told["cache-control"], told["x-content-type-options"], told["vary"]) == (
        "no-store",
        "nosniff",
        "origin",
    )


# What there is


def test_models_are_listed_by_name(api: Api, store: Store) -> None:
    store.put_endpoint(Endpoint("going", "arn:going", "c", "Deleting", 1.0, 1.0))
    models = api.get("/api/models")[1]["models"]
    assert [model["name"] for model in models] == ["flowers", "news", "pictures", "raw"]
    assert models[1] == {
        "name": "news",
        "title": "News",
        "description": "Sorts headlines.",
        "state": "InService",
        "predict": "/api/models/news/predict",
        "openapi": "/api/models/news/openapi.json",
    }


def test_a_model_is_described_by_its_schemas_and_an_example(api: Api) -> None:
    _, told = api.get("/api/models/news")
    assert (told["takes_several"], told["example"]) == (True, {"text": "A tennis match"})
    for good in ({"text": "a"}, [{"text": "a"}, {"text": "b"}]):
        jsonschema.validate(good, told["request"])
    for bad in ({"text": 1}, {}, [], [{"text": 1}], {"text": "a", "more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, told["request"])


@pytest.mark.parametrize("model", APPS)
def test_answers_are_as_their_schema_says(api: Api, models: Echo, model: str) -> None:
    described = api.get(f"/api/models/{model}")[1]
    values: Mapping[str, Any] = {
        "news": {"text": "a"},
        "flowers": {"length": 1, "kind": "a"},
        "pictures": {"image": "iVBORw0KGgo="},
        "raw": [1],
    }
    models.answer = [{"a": 1}]
    jsonschema.validate(values[model], described["request"])
    jsonschema.validate(api.predict(model, values[model])[1], described["response"])


@pytest.mark.parametrize(
    "path", ["/api/openapi.json", *(f"/api/models/{name}/openapi.json" for name in APPS)]
)
def test_the_openapi_document_is_valid(api: Api, path: str) -> None:
    status, document = api.get(path)
    OpenAPIV31SpecValidator(document).validate()
    assert (status, document["openapi"]) == (200, "3.1.0")


def test_the_document_of_all_models_has_each(api: Api) -> None:
    document = api.get("/api/openapi.json")[1]
    predicts = [path for path in document["paths"] if path.endswith("/predict")]
    assert predicts == [f"/api/models/{name}/predict" for name in ("flowers", "news", "pictures", "raw")]
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_the_document_of_one_model_has_no_other(api: Api) -> None:
    document = api.get("/api/models/news/openapi.json")[1]
    assert list(document["paths"]) == ["/api/models", "/api/models/news", "/api/models/news/predict"]
    content = document["paths"]["/api/models/news/predict"]["post"]["requestBody"]["content"]
    assert content["application/json"]["example"] == {"text": "A tennis match"}


def test_the_document_says_whether_a_key_is_needed(api: Api, region: Any, keys: ApiKeys) -> None:
    _, secret = keys.create("phone", [], None)
    opened = region(Exposure("0.0.0.0"))
    documents = [api.get("/api/openapi.json")[1], opened.get("/api/openapi.json", x_api_key=secret)[1]]
    assert [{} in document["security"] for document in documents] == [True, False]


def test_a_bug_of_ours_is_answered_as_json(api: Api, models: Echo) -> None:
    models.answer = RuntimeError("ours")
    status, told = api.predict("news", "a")
    assert (status, told["error"]["code"], "ours" in json.dumps(told)) == (500, "internal", False)


def test_every_code_is_documented(repository: Path) -> None:
    documented = {
        (int(status), tuple(re.findall(r"`(\w+)`", codes)))
        for status, codes in re.findall(
            r"^\| (\d{3}) \| ([^|]*) \|", (repository / "docs" / "public-api.md").read_text(), re.MULTILINE
        )
    }
    assert documented == {(one.status, one.codes) for one in ERRORS}


def test_every_code_that_is_answered_is_one_of_these(repository: Path) -> None:
    source = "".join(
        (repository / "src" / "hotfire" / name).read_text()
        for name in ("console/public.py", "console/predictions.py", "server/guests.py")
    )
    answered = {(int(status), code) for status, code in re.findall(r'ApiError\(\s*(\d{3}), "(\w+)"', source)}
    answered |= {(int(status), code) for code, status in re.findall(r'\("(\w+)", (\d{3})\)', source)}
    assert answered == {(one.status, code) for one in ERRORS for code in one.codes}
