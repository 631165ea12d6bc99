"""Every rule of preflight: a project in which it finds something, and a near miss in which it does not."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from hotfire import project
from hotfire.environment import Environment, load
from hotfire.errors import ConfigError, HandlerError
from hotfire.preflight import Finding, layout, rules
from hotfire.preflight.rules import RULES, STATIC, Verdict
from hotfire.preflight.subject import Exchange, Measured, Subject

HANDLER = """\
import json

def model_fn(model_dir): ...
def predict_fn(data, model): ...
"""

Files = Mapping[str, str]
RAY: Mapping[str, Any] = {"serving": "ray"}
OWN: Mapping[str, Any] = {"serving": "hotfire", "own_image": {"torch": "2.9.1"}}


@dataclass(frozen=True)
class Case:
    """A rule, and what is written into a project for it to find something, and for the near miss.

    Files go over a good handler; settings over an environment at AWS.
    """

    rule: str
    bad: Files = field(default_factory=dict)
    good: Files = field(default_factory=dict)
    bad_settings: Mapping[str, Any] = field(default_factory=dict)
    good_settings: Mapping[str, Any] = field(default_factory=dict)
    severity: str = "error"
    line: int | None = None


def handler(line: str) -> Files:
    return {"serve.py": f"{HANDLER}{line}\n"}


def variables(**values: str) -> dict[str, Any]:
    return {"container_env": values}


def pinned(line: str) -> Files:
    return {"requirements.txt": f"# pinned\n{line}\n"}


CASES = (
    Case("syntax", handler("def broken(:"), handler("def whole(): ..."), line=5),
    Case(
        "syntax",
        handler("import mine") | {"mine.py": "def ("},
        handler("import mine") | {"mine.py": "x = 1", "other.py": "def ("},
        line=1,
    ),
    Case(
        "python-syntax",
        handler("match 1:\n    case _: ..."),
        handler("match = 1"),
        {"framework_version": "1.12"},
        {"framework_version": "1.12"},
    ),
    Case(
        "python-syntax",
        handler("match 1:\n    case _: ..."),
        handler("match 1:\n    case _: ..."),
        {"framework_version": "1.13"},
        {"framework_version": "2.0"},
    ),
    Case(
        "transform-fn",
        handler("def transform_fn(model, data, content_type, accept): ..."),
        handler("def transform(model, data, content_type, accept): ..."),
        line=5,
    ),
    Case("parameters", handler("def input_fn(data): ..."), handler("def input_fn(data, kind): ..."), line=5),
    Case(
        "model-fn",
        {"serve.py": "def predict_fn(data, model): ...\n"},
        {"serve.py": "def predict_fn(data, model): ...\n", "model/one.pt": ""},
        good_settings={"artifacts": ["model"]},
    ),
    Case(
        "generator",
        handler("def output_fn(answer, accept):\n    yield answer"),
        handler("def output_fn(answer, accept):\n    return b''.join(part for part in (lambda: (yield))())"),
        line=6,
    ),
    Case(
        "generator",
        handler("def output_fn(answer, accept):\n    yield answer"),
        handler("def output_fn(answer, accept):\n    yield answer"),
        good_settings={"image": "mine:1"},
    ),
    Case("missing-requirement", handler("import cv3"), handler("import cv2, PIL, sklearn, yaml, dateutil")),
    Case(
        "missing-requirement",
        handler("import bs4"),
        handler("import bs4") | pinned("beautifulsoup4>=4"),
        line=5,
    ),
    Case(
        "missing-requirement", handler("import cv3"), handler("try:\n    import cv3\nexcept ImportError: ...")
    ),
    Case(
        "missing-requirement",
        handler("def late():\n    import cv3"),
        handler("if __name__ == '__main__':\n    import cv3"),
        line=6,
    ),
    Case(
        "missing-requirement",
        handler("import mine") | {"mine.py": "import cv3"},
        handler("import mine")
        | {"mine.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING: import cv3"},
        line=1,
    ),
    Case(
        "missing-requirement",
        handler("import mine") | {"mine.py": "def train():\n    import cv3"},
        handler("import mine") | {"mine.py": "def train(): ...", "train.py": "import cv3"},
        severity="warning",
    ),
    Case(
        "missing-requirement",
        handler("import cv3") | pinned("some-package-that-is-not-here"),
        handler("import cv3") | pinned("python-cv3"),
        severity="warning",
    ),
    Case(
        "missing-requirement",
        handler("import botocore_x"),
        handler("import markupsafe") | pinned("jinja2"),
        {"framework_version": "1.8"},
        {"framework_version": "1.8"},
    ),
    Case(
        "left-out",
        handler("import mine") | {"mine.py": "", ".hotfireignore": "mine.py\n"},
        handler("import mine") | {"mine.py": "", ".hotfireignore": "other.py\n"},
        line=5,
    ),
    Case("standard-library", handler("import imp"), handler("import importlib"), line=5),
    Case(
        "standard-library",
        handler("import tomllib"),
        handler("import tomllib"),
        {"framework_version": "2.2"},
        {"framework_version": "2.3"},
    ),
    Case("pins", pinned("numpy==1.23.5"), pinned("numpy==1.26.4"), line=2),
    Case("pins", pinned("numpy==2.0.1"), pinned("numpy==2.2.0"), RAY, RAY, line=2),
    Case("pins", pinned("pandas==1.5.3"), pinned("pandas==1.5.3 ; python_version < '3.9'")),
    Case("pins", pinned("scikit_learn==1.2.0"), pinned("scikit_learn>=1.2.0")),
    Case(
        "torch-pin",
        pinned("torch==2.4.1"),
        pinned("torch==2.6.0+cpu\ntorchmetrics==1.0"),
        severity="warning",
        line=2,
    ),
    Case("torch-pin", pinned("torch==2.6.0"), pinned("torch==2.10.0"), RAY, RAY, severity="warning"),
    Case("standard-library", handler("import cgi"), handler("import cgi"), RAY, {}),
    Case("missing-requirement", handler("import cv3"), handler("import transformers"), RAY, RAY),
    Case(
        "generator",
        handler("def output_fn(answer, accept):\n    yield answer"),
        handler("def output_fn(answer, accept):\n    return answer"),
        RAY,
        RAY,
        severity="information",
    ),
    Case(
        "gpu-code",
        handler("def f(x): return x.cuda()"),
        handler("def f(x):\n    import torch\n    return x.cuda() if torch.cuda.is_available() else x"),
        line=5,
    ),
    Case(
        "gpu-code",
        handler("def f(x): return x.to('cuda:0')"),
        handler("def f(x): return x.to('cuda:0')"),
        good_settings={"instance_type": "ml.g5.xlarge"},
    ),
    Case(
        "gpu-code", handler("def f(x): return x.new(device='cuda')"), handler("def f(x): return x.to('cpu')")
    ),
    Case(
        "absolute-path",
        handler("def f(): return open('/home/eva/weights.pt')"),
        handler("def f(): return open('/opt/ml/model/weights.pt'), open('/tmp/x', 'w')"),
        line=5,
    ),
    Case(
        "absolute-path",
        handler("from pathlib import Path\ndef f(): return Path('/Users/eva/x').read_text()"),
        handler("from pathlib import Path\ndef f(): return Path('/Users/eva/x').name"),
    ),
    Case(
        "relative-path",
        handler("def f(): return open('data/names.txt')") | {"data/names.txt": "", "model/w.pt": ""},
        handler("def f(): return open('names.txt')") | {"model/names.txt": ""},
        {"artifacts": ["model"]},
        {"artifacts": ["model"]},
        line=5,
    ),
    Case(
        "relative-path",
        handler("def f(): return open('data/names.txt')") | {"data/names.txt": "", "model/w.pt": ""},
        handler("try:\n    x = open('data/names.txt')\nexcept OSError: ...")
        | {"data/names.txt": "", "model/w.pt": ""},
        {"artifacts": ["model"]},
        {"artifacts": ["model"]},
    ),
    Case(
        "image",
        bad_settings={"framework_version": "2.7.1"},
        good_settings={"framework_version": "2.6.0"},
        line=5,
    ),
    Case(
        "image",
        bad_settings={"instance_type": "ml.inf2.xlarge"},
        good_settings={"instance_type": "ml.inf2.xlarge", "image": "mine:1"},
    ),
    Case("image", bad_settings={**RAY, "instance_type": "ml.c7g.large"}, good_settings=RAY),
    Case(
        "image-patches",
        bad_settings={"framework_version": "2.6.0"},
        good_settings={"image": "mine:1"},
        severity="information",
        line=5,
    ),
    Case(
        "instance-type",
        bad_settings={"instance_type": "ml.m5.lage"},
        good_settings={"instance_type": "ml.m5.large"},
        severity="warning",
    ),
    Case(
        "serverless",
        bad_settings={"serverless": {"memory_mb": 1500}},
        good_settings={"serverless": {"memory_mb": 2048, "max_concurrency": 200}},
    ),
    Case(
        "serverless",
        bad_settings={"serverless": {"memory_mb": 2048, "max_concurrency": 201}},
        good_settings={"instance_type": "ml.g5.xlarge"},
    ),
    Case(
        "serverless",
        bad_settings={"serverless": {"memory_mb": 2048}, "instance_type": "ml.g5.xlarge"},
        good_settings={"serverless": {"memory_mb": 2048}, "instance_type": "ml.m5.large"},
    ),
    Case(
        "environment-variables",
        bad_settings=variables(**{"MY-NAME": "x"}),
        good_settings=variables(MY_NAME="x"),
    ),
    Case(
        "environment-variables",
        bad_settings=variables(LONG="x" * 1025),
        good_settings=variables(LONG="x" * 1024),
    ),
    Case(
        "environment-variables",
        bad_settings=variables(**{f"V{number}": "x" for number in range(101)}),
        good_settings=variables(**{f"V{number}": "x" for number in range(100)}),
    ),
    Case(
        "names",
        bad_settings={"model_data_path": "s3://My_Bucket/x"},
        good_settings={"model_data_path": "s3://my-bucket/X_y"},
    ),
    Case("names", bad_settings={"tags": {"aws:x": "1"}}, good_settings={"tags": {"aws_x": "1"}}),
    Case(
        "ts-variables",
        bad_settings=variables(SAGEMAKER_TS_BATCH_SIZE="8"),
        good_settings=variables(SAGEMAKER_TS_BATCH_SIZE="8", SAGEMAKER_TS_MIN_WORKERS="4"),
        severity="warning",
    ),
    Case(
        "ts-variables",
        bad_settings=variables(SAGEMAKER_MODEL_SERVER_WORKERS="two"),
        good_settings=variables(SAGEMAKER_MODEL_SERVER_WORKERS="2"),
    ),
    Case(
        "batch-size",
        bad_settings=variables(SAGEMAKER_TS_BATCH_SIZE="2"),
        good_settings=variables(SAGEMAKER_TS_BATCH_SIZE="1"),
        severity="warning",
    ),
    Case(
        "server-timeout",
        bad_settings=variables(SAGEMAKER_MODEL_SERVER_TIMEOUT="120"),
        good_settings=variables(TS_DEFAULT_RESPONSE_TIMEOUT="60"),
        severity="warning",
    ),
    Case(
        "server-timeout",
        bad_settings=variables(TS_DEFAULT_RESPONSE_TIMEOUT="61"),
        good_settings={**variables(TS_DEFAULT_RESPONSE_TIMEOUT="61"), "async": {"output": "s3://b/o"}},
        severity="information",
    ),
    Case(
        "no-effect",
        bad_settings={"framework_version": "9.9", **RAY},
        good_settings={"framework_version": "2.6.0"},
        severity="information",
        line=5,
    ),
    Case(
        "no-effect",
        bad_settings={"py_version": "py39", **OWN},
        good_settings=OWN,
        severity="information",
        line=5,
    ),
    Case(
        "no-effect",
        bad_settings={"framework_version": "2.6.0", "image": "mine:1"},
        good_settings={"image": "mine:1"},
        severity="information",
        line=5,
    ),
    Case(
        "no-effect",
        bad_settings={"ray": {"num_cpus": 1}},
        good_settings={"ray": {"num_cpus": 1}, **RAY},
        severity="information",
        line=6,
    ),
    Case(
        "no-effect",
        bad_settings={"ray": {"num_cpus": 1}, "instance_type": "local_container"},
        good_settings={"ray": {"num_cpus": 1}, "instance_type": "local"},
        severity="information",
        line=6,
    ),
    Case(
        "no-effect",
        bad_settings={"ray_address": "http://head:8265"},
        good_settings={"ray_address": "http://head:8265", "instance_type": "ray", "ray": {"num_cpus": 1}},
        severity="information",
        line=5,
    ),
    Case(
        "ray-room",
        bad_settings={**RAY, "ray": {"num_gpus": 1}},
        good_settings={**RAY, "ray": {"num_gpus": 1}, "instance_type": "ml.g5.xlarge"},
        line=7,
    ),
    Case(
        "ray-room",
        bad_settings={**RAY, "ray": {"num_cpus": 16}},
        good_settings={**RAY, "ray": {"num_cpus": 16}, "instance_type": "ml.m5.4xlarge"},
    ),
    Case(
        "ray-room",
        bad_settings={**RAY, "ray": {"memory": 9 << 30}},
        good_settings={**RAY, "ray": {"memory": 8 << 30}},
    ),
    Case(
        "ray-room",
        bad_settings={**RAY, "ray": {"num_replicas": 3}},
        good_settings={**RAY, "ray": {"num_replicas": 2}},
        severity="warning",
        line=7,
    ),
    Case(
        "ray-room",
        bad_settings={**RAY, "instance_type": "ml.g5.xlarge", "ray": {"num_replicas": 2}},
        good_settings={**RAY, "instance_type": "ml.g5.xlarge", "ray": {"num_replicas": 2, "num_gpus": 0.5}},
        severity="warning",
    ),
    Case(
        "ray-room",
        bad_settings={
            **RAY,
            "instance_type": "ml.g5.12xlarge",
            "ray": {"num_gpus": 0.6, "autoscaling_config": {"max_replicas": 5}},
        },
        good_settings={
            **RAY,
            "instance_type": "ml.g5.12xlarge",
            "ray": {"num_gpus": 0.6, "autoscaling_config": {"max_replicas": 4}},
        },
        severity="warning",
    ),
    Case(
        "ray-room",
        bad_settings={**RAY, "serverless": {"memory_mb": 2048}, "ray": {"num_gpus": 1}},
        good_settings={**RAY, "serverless": {"memory_mb": 2048}, "ray": {"num_cpus": 6, "memory": 1 << 31}},
    ),
    Case(
        "ray-room",
        bad_settings={**RAY, "ray": {"num_gpus": 1}},
        good_settings={**RAY, "ray": {"num_gpus": 9}, "instance_type": "ml.g9.huge"},
    ),
    Case(
        "ray-room",
        bad_settings={**RAY, "ray": {"num_replicas": "auto", "num_cpus": 4}},
        good_settings={**RAY, "ray": {"num_replicas": "auto"}},
    ),
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Environment]:
    """Writes a project: its files, and the settings of its environment `production`."""

    def write(files: Files, settings: Mapping[str, Any], name: str = "production") -> Environment:
        contents = {"serve.py": HANDLER, **files}
        for place, text in contents.items():
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        # The given settings first, so that their lines are known.
        section = {**settings, "model_name": "news", "instance_type": "ml.m5.large"} | dict(settings)
        document = {"environments": {"default": {"model_name": "x"}, name: section}}
        (tmp_path / "config.yml").write_text(yaml.safe_dump(document, sort_keys=False))
        return load(name, start=tmp_path)

    return write


Write = Callable[..., Environment]


def found(verdict: Verdict, rule: str) -> list[tuple[str, int | None]]:
    return [(one.severity, one.line) for one in verdict.findings if one.rule == rule]


ids = [f"{case.rule}-{number}" for number, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_it_is_found(write: Write, case: Case) -> None:
    verdict = project.checked(write(case.bad, case.bad_settings))
    severities = found(verdict, case.rule)
    assert [severity for severity, _ in severities] == [case.severity]
    assert case.line in (None, severities[0][1])


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_near_miss_passes(write: Write, case: Case) -> None:
    assert found(project.checked(write(case.good, case.good_settings)), case.rule) == []


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_what_is_found_is_told_in_sentences(write: Write, case: Case) -> None:
    for finding in project.checked(write(case.bad, case.bad_settings)).findings:
        assert finding.message.endswith((".", "...", ": ...")) or finding.rule == "syntax"
        assert finding.advice.endswith((".", "?"))


IN_OTHER_TESTS = {"unreadable", "layout", "weights-torch", "weights-memory"}


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in STATIC} == {case.rule for case in CASES} | IN_OTHER_TESTS


def test_names_are_given_once() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))


def test_a_good_project_has_nothing_but_the_image_s_age(write: Write) -> None:
    verdict = project.checked(write({}, {}))
    assert [finding.rule for finding in verdict.findings] == ["image-patches"]
    assert verdict.passed


def test_for_this_machine_what_is_about_aws_is_information(write: Write) -> None:
    verdict = project.checked(write(handler("import cv3"), {"instance_type": "local"}))
    assert found(verdict, "missing-requirement") == [("information", 5)]
    assert verdict.passed


def test_a_deploy_to_this_machine_does_not_look_for_it(write: Write) -> None:
    _, verdict = project.inspected(write(handler("import cv3"), {"instance_type": "local"}), only_local=True)
    assert verdict.findings == ()


def test_a_deploy_to_aws_stops_at_an_error(write: Write) -> None:
    with pytest.raises(HandlerError, match=r"serve\.py:5: cv3 is imported.*\[missing-requirement\]"):
        project.collected(write(handler("import cv3"), {}))


def test_a_deploy_shows_warnings_and_no_information(write: Write) -> None:
    notes = project.collected(write(pinned("torch==2.4.1"), {})).notes
    assert [note for note in notes if "[" in note] == [note for note in notes if "[torch-pin]" in note]


# What is advised


def advice(environment: Environment, rule: str) -> str:
    (found,) = [one for one in project.checked(environment).findings if one.rule == rule]
    return f"{found.message} {found.advice}"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"framework_version": "2.5.1"}, "`framework_version`"),
        ({"serving": "ray"}, "another `serving` than `ray`"),
    ],
)
def test_another_torch_is_advised_by_what_chooses_it(
    write: Write, settings: Mapping[str, Any], key: str
) -> None:
    said = advice(write(pinned("torch==2.4.1"), settings), "torch-pin")
    assert said.endswith(f"choose an image with that torch, where there is one, by {key}.")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "`framework_version`"),
        ({"serving": "ray"}, "another `serving` than `ray`"),
        (OWN, "`own_image.torch`"),
    ],
)
def test_weights_of_a_newer_torch_are_advised_of_what_chooses_it(
    write: Write, tmp_path: Path, settings: Mapping[str, Any], key: str
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.pt").write_bytes(b"")
    subject, _ = project.examined(write({}, {"artifacts": ["model"], **settings}))
    (finding,) = weights_of_torch_99(subject)
    assert f"choose another by {key}, or try it" in finding.advice


def weights_of_torch_99(subject: Subject) -> list[Finding]:
    """What is found where weights are of a torch that no image has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "saved_since", lambda file: (99, 0))
        return [one for one in rules.judge(subject).findings if one.rule == "weights-torch"]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "`framework_version`"),
        ({"serving": "ray"}, "another `serving` than `ray`"),
        (OWN, "`own_image.base`"),
    ],
)
def test_another_python_is_advised_by_what_chooses_it(
    write: Write, settings: Mapping[str, Any], key: str
) -> None:
    said = advice(write(pinned("numpy==1.22.4"), settings), "pins")
    assert said.endswith(f"choose an image with its Python by {key}.")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"framework_version": "2.6.0", **RAY},
            "framework_version 2.6.0 has no effect with `serving: ray`: that image has torch 2.10 and Python "
            "3.13. Leave it out.",
        ),
        (
            {"framework_version": "2.6.0", "image": "mine:1"},
            "framework_version 2.6.0 has no effect with an `image`, which has its own torch and Python. "
            "Leave it out.",
        ),
        (
            {"ray": {"num_replicas": 2}},
            "`ray` has no effect with `serving: toolkit`. Say `serving: ray` if Ray Serve is to serve it; "
            "else leave `ray` out.",
        ),
    ],
)
def test_what_has_no_effect_is_told_with_the_reason(
    write: Write, settings: Mapping[str, Any], said: str
) -> None:
    assert advice(write({}, settings), "no-effect") == said


@pytest.mark.parametrize(
    ("kind", "ray", "said"),
    [
        ("ml.m5.large", {"num_gpus": 1}, "A replica takes 1 GPU, and ml.m5.large has none: Ray would never"),
        ("ml.m5.large", {"num_cpus": 16}, "A replica takes 16 CPUs, and ml.m5.large has 2: Ray would never"),
        (
            "ml.m5.large",
            {"memory": 16 << 30},
            "A replica takes 16.0 GiB of memory, and ml.m5.large has 8.0 GiB: Ray would never",
        ),
        (
            "ml.g5.xlarge",
            {"num_replicas": 4, "num_gpus": 0.5},
            "4 replicas take 0.5 GPUs each, and ml.g5.xlarge has 1: Ray would start 2 of them.",
        ),
    ],
)
def test_what_there_is_no_room_for_is_told_in_numbers(
    write: Write, kind: str, ray: Mapping[str, Any], said: str
) -> None:
    assert advice(write({}, {**RAY, "instance_type": kind, "ray": ray}), "ray-room").startswith(said)


def test_the_ray_serve_image_has_its_time_too(write: Write) -> None:
    subject, _ = project.examined(write({}, RAY))
    late = replace(subject, today=date(2027, 2, 19))
    assert found(rules.judge(subject), "image-patches") == []
    (finding,) = [one for one in rules.judge(late).findings if one.rule == "image-patches"]
    assert (finding.severity, finding.line) == ("information", 5)
    assert finding.message.startswith("AWS has not patched its Ray Serve image")


# What config.yml silences


def test_a_silenced_rule_stops_nothing_and_is_counted(write: Write) -> None:
    settings = {"preflight": {"ignore": {"missing-requirement": "a base image brings it"}}}
    verdict = project.checked(write(handler("import cv3"), settings))
    assert found(verdict, "missing-requirement") == []
    assert [(one.finding.rule, one.reason) for one in verdict.silenced] == [
        ("missing-requirement", "a base image brings it")
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"ignore": {"pins": ""}}, "the rule 'pins' is silenced without a reason"),
        ({"ignore": {"pins": True}}, "the rule 'pins' is silenced without a reason"),
        ({"ignore": {"pin": "why"}}, "there is no rule 'pin'"),
        ({"ignore": ["pins"]}, "preflight holds `ignore` alone"),
        ({"ignored": {}}, "preflight holds `ignore` alone"),
    ],
)
def test_what_is_silenced_wrongly(write: Write, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"config\.yml:\d+: .*{said}"):
        project.checked(write({}, {"preflight": value}))


# Model data


def test_weights_of_a_newer_torch_are_told(write: Write, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    torch.save({"a": torch.zeros(2)}, tmp_path / "model" / "weights.pt")
    environment = write({}, {"artifacts": ["model"]})
    assert found(project.checked(environment), "weights-torch") == [("warning", None)]


def test_weights_of_an_older_torch_pass(write: Write, tmp_path: Path) -> None:
    import zipfile

    (tmp_path / "model").mkdir()
    with zipfile.ZipFile(tmp_path / "model" / "weights.pt", "w") as content:
        for name in ("data.pkl", "version", "byteorder", "data/0"):
            content.writestr(f"archive/{name}", "")
    environment = write({"model/other.pt": "not of torch"}, {"artifacts": ["model"]})
    assert found(project.checked(environment), "weights-torch") == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"instance_type": "ml.t2.medium"}, [("error", 5)]),
        ({"instance_type": "ml.t2.large"}, []),
        ({"instance_type": "ml.p9.huge"}, []),
        ({"serverless": {"memory_mb": 4096}}, [("error", 6)]),
        ({"serverless": {"memory_mb": 6144}}, []),
    ],
)
def test_model_data_must_fit_into_memory(
    write: Write, settings: dict[str, Any], expected: list[tuple[str, int | None]]
) -> None:
    environment = write({}, settings)
    subject, _ = project.examined(environment)
    large = replace(subject, sizes={"weights.pt": 5 << 30, "code/serve.py": 8 << 30})
    assert found(rules.judge(large), "weights-memory") == expected


def archive(path: Path, places: list[str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for place in places:
            member = tarfile.TarInfo(place)
            text = HANDLER.encode() if place.endswith(".py") else b""
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return path


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["model/code/inference.py", "model/w.pt"], "All of it lies in the folder model/"),
        (["inference.py", "w.pt"], "inference.py does not lie in code/"),
        (["w.pt"], "It holds no handler"),
        (["code/one.py", "code/two.py"], "It holds no code/inference.py"),
        (["code/inference.py", "requirements.txt"], "requirements.txt lies at the root"),
    ],
)
def test_the_layout_of_an_archive(tmp_path: Path, places: list[str], said: str) -> None:
    packed = archive(tmp_path / "model.tar.gz", places)
    (finding,) = [one for one in project.inspected_archive(packed, None).findings if one.rule == "layout"]
    assert finding.message.startswith(said)
    assert finding.file == packed


@pytest.mark.parametrize(
    "places",
    [
        ["code/inference.py", "w.pt"],
        ["code/serve.py", "code/requirements.txt"],
        ["code/only.py", "deep/code/x.py"],
        ["./code/inference.py", "requirements.txt", "code/requirements.txt"],
    ],
)
def test_a_good_layout_of_an_archive(tmp_path: Path, places: list[str]) -> None:
    verdict = project.inspected_archive(archive(tmp_path / "model.tar.gz", places), None)
    assert found(verdict, "layout") == []


def test_what_is_found_in_an_archive_is_named_by_its_place_there(tmp_path: Path) -> None:
    packed = tmp_path / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        text = f"{HANDLER}import cv3\n".encode()
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    (finding,) = project.inspected_archive(packed, None).findings
    assert finding.place == f"{packed}/code/inference.py:5"


# What was measured


def judged(write: Write, measured: Measured, settings: Mapping[str, Any]) -> Verdict:
    subject, _ = project.examined(write({"model/w.pt": ""}, {"artifacts": ["model"], **settings}))
    sizes = {"weights.pt": 1_000_000, "code/serve.py": 10_000}
    return rules.judge(replace(subject, measured=measured, sizes=sizes))


def exchange(sent: int = 10, received: int = 10, seconds: float = 0.1) -> Measured:
    return Measured((Exchange("news", sent, received, seconds),))


MB = 1 << 20

MEASURED = [
    ("weights-each-request", Measured(read=500_000), {}, "warning"),
    ("weights-each-request", Measured(read=499_999), {}, None),
    ("payload", exchange(received=6 * MB + 1), {}, "error"),
    ("payload", exchange(received=6 * MB), {}, None),
    ("payload", exchange(sent=5 * MB), {"serverless": {"memory_mb": 2048}}, "error"),
    ("payload", exchange(sent=5 * MB), {}, None),
    ("payload", exchange(sent=50 * MB), {"async": {"output": "s3://b/o"}}, None),
    ("latency", exchange(seconds=61), {}, "error"),
    ("latency", exchange(seconds=31), {}, "warning"),
    ("latency", exchange(seconds=30), {}, None),
    ("latency", exchange(seconds=61), {"async": {"output": "s3://b/o"}}, None),
    ("cold-start", Measured(load=301), {"startup_timeout": 300}, "error"),
    ("cold-start", Measured(load=299), {"startup_timeout": 300}, None),
    ("cold-start", Measured(load=61), {}, "warning"),
    ("cold-start", Measured(load=60), {}, None),
    ("memory", Measured(memory=5 << 30), {"instance_type": "ml.t2.medium"}, "error"),
    ("memory", Measured(memory=3 << 30), {"instance_type": "ml.t2.medium"}, "warning"),
    (
        "memory",
        Measured(memory=3 << 30),
        {"instance_type": "ml.t2.medium", **variables(SAGEMAKER_MODEL_SERVER_WORKERS="1")},
        None,
    ),
    ("memory", Measured(memory=3 << 30), {"instance_type": "ml.t2.medium", **RAY}, None),
    (
        "memory",
        Measured(memory=3 << 30),
        {"instance_type": "ml.t2.medium", **RAY, "ray": {"num_replicas": 2}},
        "warning",
    ),
    (
        "memory",
        Measured(memory=3 << 30),
        {"instance_type": "ml.t2.medium", **RAY, "ray": {"num_replicas": "auto"}},
        None,
    ),
    ("memory", Measured(memory=3 << 30), {"serverless": {"memory_mb": 2048}}, "error"),
    ("memory", Measured(memory=1 << 30), {"serverless": {"memory_mb": 2048}}, None),
]


@pytest.mark.parametrize(("rule", "measured", "settings", "severity"), MEASURED)
def test_what_is_measured(
    write: Write, rule: str, measured: Measured, settings: dict[str, Any], severity: str | None
) -> None:
    severities = [one for one, _ in found(judged(write, measured, settings), rule)]
    assert severities == ([severity] if severity else [])


@pytest.mark.parametrize(("load", "advised"), [(61.0, 180), (1750.0, 3540), (1900.0, 3600)])
def test_a_startup_timeout_is_advised_that_may_be_set(write: Write, load: float, advised: int) -> None:
    (finding,) = [one for one in judged(write, Measured(load=load), {}).findings if one.rule == "cold-start"]
    assert finding.advice.startswith(f"Set `startup_timeout: {advised}`")


def test_every_measured_rule_has_a_case() -> None:
    assert {rule.name for rule in RULES} - {rule.name for rule in STATIC} == {case[0] for case in MEASURED}
