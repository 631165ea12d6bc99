"""How many threads torch computes with in a worker."""

import os
import statistics
from typing import List

_WORTH_SECONDS = 0.010
"""A request that takes less gains nothing from more threads, and loses much while other programs run."""
_REQUESTS_TO_JUDGE_BY = 3


class Threads:
    """One thread at first; all that the worker may have once its requests prove long.

    Measured with a model of 0.4 ms on two busy cores: one thread 1,400 requests a second, two threads 170. A
    number that the user chose, by `OMP_NUM_THREADS` or in the handler, is left as it is.
    """

    def __init__(self, most: int) -> None:
        import torch

        self._most = most
        self._seconds: List[float] = []
        self._settled = most == 1 or torch.get_num_threads() > 1
        chosen = os.environ.get("OMP_NUM_THREADS", "")
        if chosen.isdecimal() and int(chosen) > 0:
            self._settled = True
            torch.set_num_threads(int(chosen))

    def judge(self, seconds: float) -> None:
        """Take how long a request took; cheap once it is settled."""
        if self._settled:
            return
        self._seconds = [*self._seconds[1 - _REQUESTS_TO_JUDGE_BY :], seconds]
        long = (
            len(self._seconds) == _REQUESTS_TO_JUDGE_BY and statistics.median(self._seconds) > _WORTH_SECONDS
        )
        if long:
            import torch

            torch.set_num_threads(self._most)
            self._settled = True
