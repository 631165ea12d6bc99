"""Answers what the request's expression is worth, where it stands in a handler."""

import json
import logging  # noqa: F401  # expressions use them
import os  # noqa: F401
import signal  # noqa: F401
import sys  # noqa: F401
import threading  # noqa: F401

import torch  # noqa: F401


def model_fn(model_dir, context):
    return context.request_processor, context.request_ids


def input_fn(body, content_type):
    return json.loads(body)


def predict_fn(expression, model, context):
    return eval(expression)


def output_fn(prediction, accept):
    return repr(prediction)
