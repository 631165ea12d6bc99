"""The answers of AWS's own stack, recorded, against ours: processes, forked and spawned, and containers.

One corpus is in `conformance`, by the program that is there; another lies beside the repository, on some
machines. docs/parity.md says what is compared, and where ours differ on purpose. `make conformance` sends all
of it to every target, AWS's own stack in a container among them, so that what was recorded is proved again.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from comparing import is_same, send
from corpus import SHARED, Case, Setup, cases
from targets import Containers, Processes, in_turn

CASES = list(cases())
AWS_IMAGE = "sagemaker-pytorch:latest"
BUILDS_IT = SHARED.parent / "tools" / "sagemaker-image"
PATIENCE = 200
"""Seconds; AWS's stack itself gives up after 120."""
OF_THE_IMAGE = ("asked:asked_61",)
"""Flags of the interpreter, which an image sets for itself."""
EVERY = 6
"""Without `--whole`, containers of our own image are sent every sixth setup."""


def of_target(target: str, *, whole: bool) -> list[Case]:
    """The cases that a target is sent."""
    if target not in ("image", "aws"):
        return CASES
    asked = [case for case in CASES if case.name not in OF_THE_IMAGE]
    if target == "aws":
        # Where it did not answer there is nothing to wait for, and some of it is another at each time.
        return [case for case in asked if case.status is not None and case.is_stable]
    chosen = setups_of(asked)[:: 1 if whole else EVERY]
    return [case for case in asked if case.setup in chosen]


def setups_of(chosen: list[Case]) -> list[Setup]:
    return list(dict.fromkeys(case.setup for case in chosen))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    whole = metafunc.config.getoption("--whole")
    targets = ["forked", "spawned", "image", *(["aws"] if whole else [])]
    asked = [(target, case) for target in targets for case in of_target(target, whole=whole)]
    names = [f"{target}-{case.name}" for target, case in asked]
    metafunc.parametrize(("target", "case"), asked, ids=names, indirect=["target"], scope="module")


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`serve(setup)` of what is asked now."""
    name = request.param
    chosen = of_target(name, whole=request.config.getoption("--whole"))
    with (
        closing(made(name, request)) as one,
        in_turn(one, setups_of(chosen), 3, tmp_path_factory.mktemp) as serve,
    ):
        yield serve


def made(name: str, request: pytest.FixtureRequest) -> Any:
    if name == "image":
        image = request.getfixturevalue("own_image").name
        return Containers(request.getfixturevalue("docker"), image)
    if name == "aws":
        return Containers(request.getfixturevalue("docker"), aws_image())
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return Processes(variables, fork=name == "forked")


def aws_image() -> str:
    """AWS's own stack in an image, built where it is not there; or the one that is named."""
    named = os.environ.get("HOTFIRE_CONFORMANCE_IMAGE")
    if named:
        return named
    if not BUILDS_IT.exists():
        pytest.fail("name an image of AWS's stack: HOTFIRE_CONFORMANCE_IMAGE=…")
    subprocess.run([BUILDS_IT, AWS_IMAGE], check=True, timeout=1800)
    return AWS_IMAGE


def test_answers_as_aws_does(
    target: Callable[[Setup], Any], case: Case, request: pytest.FixtureRequest
) -> None:
    is_ours = "aws-" not in request.node.name
    server = target(case.setup)
    status, headers, body = send(server.port, case, PATIENCE)
    if is_ours and case.setup.name.startswith("fail_"):
        # Where AWS's image looks healthy or hangs, ours says what is wrong.
        assert server.failure
        assert status == 500
        assert case.path != "/invocations" or body.partition(b"\n")[0].decode() in server.failure
        return
    if is_ours and case.hotfire is not None:
        assert status == case.hotfire["status"]
        return
    assert status == case.status
    assert headers.get("content-type") == case.headers.get("content-type")
    assert is_same(case, body), (body, case.body)
    own = [name for name in case.headers if name.startswith("x-") and name != "x-request-id"]
    assert {name: headers.get(name) for name in own} == {name: case.headers[name] for name in own}
