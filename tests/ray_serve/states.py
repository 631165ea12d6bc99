"""Tell what has become of the applications named, once that is settled: JSON, their states and messages."""

import json
import sys
import time

import ray
from ray import serve

ON_THE_WAY = ("NOT_STARTED", "DEPLOYING", "DELETING")


def main(names: list[str], seconds: float = 120.0) -> None:
    # A thread of Ray's that prints what replicas print would mix with the one line that is told here.
    ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
    deadline = time.monotonic() + seconds
    while True:
        known = serve.status().applications
        found = [known.get(name) for name in names]
        settled = all(one and one.status not in ON_THE_WAY for one in found)
        if settled or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    states = {}
    for name, one in zip(names, found, strict=True):
        messages = [one.message, *(each.message for each in one.deployments.values())] if one else []
        states[name] = {"status": one.status if one else None, "message": "\n".join(messages)}
    sys.stdout.write(json.dumps(states) + "\n")


main(sys.argv[1:])
