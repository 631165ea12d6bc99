"""What is said of pip's and the engine's last lines when there is no image."""

from pathlib import Path

import pytest

from hotfire.container_builds import BuildFailed
from hotfire.errors import EngineError, ProjectError
from hotfire.image_failures import unbuilt, unresolved, unstarted

BASE = "python:3.11-slim"
LOCK = Path("/project/image-amd64.lock")
OLD_REFUSED = (
    "NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f>: Failed to establish "
    "a new connection: [Errno 111] Connection refused')"
)
NEW_REFUSED = (
    "NewConnectionError(\"HTTPConnection(host='127.0.0.1', port=9): Failed to establish a new connection: "
    '[Errno 111] Connection refused")'
)
UNKNOWN = (
    "NameResolutionError(\"HTTPSConnection(host='packages.example', port=443): Failed to resolve "
    "'packages.example' ([Errno -2] Name or service not known)\")"
)
SLOW = (
    "ReadTimeoutError(\"HTTPSConnectionPool(host='pypi.org', port=443): Read timed out. (read timeout=15)\")"
)
UNTRUSTED = (
    "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    "self-signed certificate in certificate chain (_ssl.c:1006)'))"
)
NO_NUMPY = (
    "ERROR: Could not find a version that satisfies the requirement numpy (from versions: none)",
    "ERROR: No matching distribution found for numpy",
)


def retries(why: str, path: str = "/simple/numpy/", last: int = 0) -> list[str]:
    """pip's warnings of its attempts."""
    return [
        f"WARNING: Retrying (Retry(total={total}, connect=None, read=None, redirect=None, status=None)) "
        f"after connection broken by '{why}': {path}"
        for total in range(4, last - 1, -1)
    ]


def told(*lines: str, network: str = "default") -> tuple[str, str]:
    """The message and advice for what was printed."""
    error = unresolved(BASE, network, lines)
    return error.message, error.advice


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        (OLD_REFUSED, "the index http://127.0.0.1:9/simple cannot be reached (Connection refused)"),
        (NEW_REFUSED, "the index http://127.0.0.1:9/simple cannot be reached (Connection refused)"),
        (UNKNOWN, "the index http://127.0.0.1:9/simple cannot be reached (Name or service not known)"),
        (SLOW, "the index http://127.0.0.1:9/simple cannot be reached (it does not answer)"),
        (
            UNTRUSTED,
            "the index http://127.0.0.1:9/simple shows no certificate that is trusted "
            "(self-signed certificate in certificate chain)",
        ),
    ],
)
def test_an_index_that_is_not_reached_is_named_with_the_reason(why: str, expected: str) -> None:
    message, _ = told("Looking in indexes: http://127.0.0.1:9/simple", *retries(why), *NO_NUMPY)
    assert message == f"the requirements cannot be resolved: {expected}"


def test_of_several_indexes_the_one_is_named_that_was_asked() -> None:
    indexes = "Looking in indexes: https://me:****@example.com/simple, https://download.pytorch.org/whl/cpu"
    message, _ = told(indexes, *retries(UNKNOWN, "/whl/cpu/numpy/"), *NO_NUMPY)
    assert "the index https://download.pytorch.org/whl/cpu cannot be reached" in message


def test_the_index_that_pip_does_not_name_is_pypi() -> None:
    assert "the index https://pypi.org/simple cannot be reached" in told(*retries(UNKNOWN), *NO_NUMPY)[0]


def test_an_index_that_was_reached_in_the_end_is_not_to_blame() -> None:
    message, _ = told(*retries(SLOW, last=2), *NO_NUMPY)
    assert message.endswith("numpy cannot be found: there is no package of that name, or none for the base")


@pytest.mark.parametrize(
    ("why", "network", "expected"),
    [
        (NEW_REFUSED, "default", "That is the build's own container; `own_image.network: host`"),
        (NEW_REFUSED, "host", "See that its address is right, and that it answers this machine."),
        (UNKNOWN, "none", "`own_image.network: none` reaches no index"),
        (UNTRUSTED, "default", "`own_image.certificate`"),
    ],
)
def test_the_way_to_an_index_is_advised(why: str, network: str, expected: str) -> None:
    index = "Looking in indexes: http://127.0.0.1:9/simple"
    assert expected in told(index, *retries(why), *NO_NUMPY, network=network)[1]


def test_of_many_versions_the_last_are_told() -> None:
    ignored = "; ".join(f"2.5.{number} Requires-Python >=3.12" for number in range(9))
    versions = ", ".join(f"1.{number}.0" for number in range(99))
    message, advice = told(
        "ERROR: Ignored the following yanked versions: 2.4.0",
        f"ERROR: Ignored the following versions that require a different python version: {ignored}",
        "ERROR: Could not find a version that satisfies the requirement numpy==99.0 "
        f"(from versions: {versions})",
        "ERROR: No matching distribution found for numpy==99.0",
    )
    assert message == (
        "the requirements cannot be resolved: numpy==99.0 cannot be found: "
        "the versions are …, 1.96.0, 1.97.0, 1.98.0"
    )
    assert advice.startswith("Mend requirements.txt")


@pytest.mark.parametrize(("wanted", "versions"), [("numpy==2.5.1", "1.0, 2.0"), ("numpy", "none")])
def test_a_version_for_another_python_is_told_as_such(wanted: str, versions: str) -> None:
    message, advice = told(
        "ERROR: Ignored the following versions that require a different python version: "
        "2.5.0 Requires-Python >=3.12; 2.5.1 Requires-Python >=3.12",
        f"ERROR: Could not find a version that satisfies the requirement {wanted} "
        f"(from versions: {versions})",
        f"ERROR: No matching distribution found for {wanted}",
    )
    assert message.endswith(f"{wanted} is not for the base's Python: 2.5.1 needs >=3.12")
    assert "`own_image.base`" in advice


def test_what_comes_by_git_is_to_be_a_wheel() -> None:
    message, advice = told(
        "Collecting own@ git+https://****@example.com/own.git (from a==1->-r /requirements.txt (line 1))",
        "  ERROR: Error [Errno 2] No such file or directory: 'git' while executing command git version",
        "ERROR: Cannot find command 'git' - do you have 'git' installed and in your PATH?",
    )
    assert message.endswith(
        "own@ git+https://****@example.com/own.git comes by git, which the base image does not have"
    )
    assert advice == "Build a wheel of it, and name its folder by `own_image.wheels`."


def test_a_package_that_cannot_be_built_is_told_with_its_last_line() -> None:
    message, advice = told(
        '        File "/tmp/pip-install-0bo6j7j7/numpy_0888e84642504229b0b4f342df917b4a/setup.py", line 1',
        "      RuntimeError: Broken toolchain: cannot link a simple C program",
        "      [end of output]",
        "  note: This error originates from a subprocess, and is likely not a problem with pip.",
        "error: metadata-generation-failed",
    )
    assert message == (
        "the requirements cannot be resolved: numpy has no wheel for the base, and cannot be built on it: "
        "RuntimeError: Broken toolchain: cannot link a simple C program"
    )
    assert "`own_image.wheels`" in advice


def test_versions_that_exclude_each_other_are_told_in_pips_words() -> None:
    message, _ = told("ERROR: Cannot install a==1 and a==2.", "ERROR: ResolutionImpossible: for help …")
    assert message.endswith(": Cannot install a==1 and a==2. ResolutionImpossible: for help …")


@pytest.mark.parametrize(
    ("line", "expected", "kind"),
    [
        ("sh: 2: python3: not found", f"the base image {BASE} has no Python that makes", EngineError),
        ("ERROR: No space left on device", "no space is left on the engine's disk", EngineError),
        ("killed", f"the requirements cannot be resolved on {BASE}: killed", EngineError),
        (NO_NUMPY[1], "No matching distribution found for numpy", ProjectError),
    ],
)
def test_what_else_there_is_to_say(line: str, expected: str, kind: type[Exception]) -> None:
    error = unresolved(BASE, "default", [line])
    assert type(error) is kind
    assert expected in error.message


@pytest.mark.parametrize(
    "reason",
    [
        'unable to start container process: exec: "sh": executable file not found in $PATH: unknown',
        "crun: executable file `sh` not found in $PATH: No such file or directory",
    ],
)
def test_a_base_without_a_shell_is_told(reason: str) -> None:
    error = unstarted("tiny:1", EngineError(f"the image tiny:1 cannot be started: {reason}"))
    assert error.message.startswith("the base image tiny:1 has no shell")
    other = EngineError("the image tiny:1 cannot be started: no")
    assert unstarted("tiny:1", other) is other


def test_of_packages_that_are_not_those_of_the_lock_the_first_is_told() -> None:
    expected, got = "5" * 64, "6" * 64
    lines = [
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated …",
        "    anyio==4.16.0 from https://example.com/anyio.whl (from -r /build/requirements.txt (line 3)):",
        f"        Expected sha256 {expected}",
        f"             Got        {got}",
        "    six==1.16.0 from https://example.com/six.whl (from -r /build/requirements.txt (line 9)):",
        f"        Expected sha256 {got}",
        f"             Got        {expected}",
        "Removing intermediate container 4b73bca0ed37",
    ]
    error = unbuilt("news:1", LOCK, "default", BuildFailed("news:1", "The command 'x' returned", lines))
    assert error.message == (
        "the image news:1 cannot be built: anyio==4.16.0 is not what image-amd64.lock says "
        f"(expected {expected}, got {got})"
    )
    assert "`hotfire image --update`" in error.advice


@pytest.mark.parametrize(
    "reason",
    [
        "The command '/bin/sh -c python3 -m venv /build/pip  && long' returned a non-zero code: 1",
        'building at STEP "RUN python3 -m venv /build/pip  && long": while running runtime: exit status 1',
    ],
)
def test_a_step_that_failed_is_told_by_what_it_printed_and_not_by_its_command(reason: str) -> None:
    lines = [
        " ---> Running in 4b73bca0ed37",
        "cp: no such file",
        "Removing intermediate container 4b73bca0ed37",
    ]
    error = unbuilt("news:1", LOCK, "default", BuildFailed("news:1", reason, lines))
    assert error.message == (
        "the image news:1 cannot be built: a step ended with exit code 1: cp: no such file"
    )


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("write /var/lib/docker/tmp/1: no space left on device", " ---> Running in 4b73bca0ed37"),
        ("a step failed", "ERROR: Could not install packages: [Errno 28] No space left on device"),
    ],
)
def test_a_full_disk_is_told_as_such_whoever_fills_it(reason: str, line: str) -> None:
    error = unbuilt("news:1", LOCK, "default", BuildFailed("news:1", reason, [line]))
    assert error.message == "the image news:1 cannot be built: no space is left on the engine's disk"
    assert "`docker system df`" in error.advice
