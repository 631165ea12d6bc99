"""Returns from output_fn what the request's expression is worth."""

import collections
import datetime  # noqa: F401  # expressions use them
import decimal  # noqa: F401
import enum
import io  # noqa: F401
import json

import numpy as np  # noqa: F401
import torch  # noqa: F401


class Text(str):
    pass


class Number(enum.IntEnum):
    ONE = 1


Pair = collections.namedtuple("Pair", "first second")
endless = []
endless.append(endless)


def model_fn(model_dir):
    return None


def input_fn(body, content_type):
    return json.loads(body)


def predict_fn(expression, model):
    return expression


def output_fn(expression, accept):
    return eval(expression)
