"""How many threads a worker computes with, in a process of its own: torch's number is the process's."""

import os
import subprocess
import sys

import pytest

PROGRAM = """\
import torch
from hotfire_worker.threads import Threads
torch.set_num_threads({before})
threads = Threads(4)
numbers = [torch.get_num_threads()]
for seconds in {seconds}:
    threads.judge(seconds)
    numbers.append(torch.get_num_threads())
print(*numbers)
"""

SHORT, LONG = 0.001, 0.1


def numbers(seconds: list[float], before: int = 1, **variables: str) -> list[int]:
    program = PROGRAM.format(before=before, seconds=seconds)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **variables},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [int(number) for number in printed.split()]


def test_short_requests_are_computed_by_one_thread() -> None:
    assert numbers([SHORT] * 10) == [1] * 11


def test_long_requests_are_given_all_threads_when_they_have_proved_long() -> None:
    assert numbers([LONG] * 4) == [1, 1, 1, 4, 4]


def test_one_long_request_among_short_ones_proves_nothing() -> None:
    assert numbers([LONG, SHORT, SHORT, LONG, SHORT]) == [1] * 6


def test_there_is_no_way_back() -> None:
    assert numbers([LONG, LONG, LONG, SHORT, SHORT, SHORT]) == [1, 1, 1, 4, 4, 4, 4]


@pytest.mark.parametrize(("before", "variables"), [(2, {}), (1, {"OMP_NUM_THREADS": "2"})])
def test_a_number_that_the_user_chose_stays(before: int, variables: dict[str, str]) -> None:
    assert numbers([LONG] * 4, before, **variables) == [2] * 5
