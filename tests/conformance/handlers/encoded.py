"""Predicts what the request's expression is worth; the toolkit's own output_fn makes the answer."""

import collections  # noqa: F401  # expressions use them
import datetime  # noqa: F401
import decimal  # noqa: F401
import json

import numpy as np
import torch  # noqa: F401


class Listed:
    def tolist(self):
        return [1, np.float32(2)]


def model_fn(model_dir):
    return None


def input_fn(body, content_type):
    return json.loads(body)


def predict_fn(expression, model):
    return eval(expression)
