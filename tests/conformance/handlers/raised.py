"""Runs a statement of the request's in the function that the request names."""

import http  # noqa: F401  # statements use them
import json
import os  # noqa: F401
import sys  # noqa: F401
import time  # noqa: F401

from sagemaker_inference.errors import (  # noqa: F401
    BaseInferenceToolkitError,
    GenericInferenceToolkitError,
    UnsupportedFormatError,
)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("mute")


class MuteCuda(Exception):
    def __str__(self):
        raise RuntimeError("CUDA error")


class Teapot(BaseInferenceToolkitError):
    def __init__(self):
        super().__init__(418, "short and stout", "I am a teapot")


class WithStatus(Exception):
    status_code = 404


def obey(here, where, statement):
    if here == where:
        exec(statement)
    return where, statement


def model_fn(model_dir):
    return None


def input_fn(body, content_type):
    return obey("input", *json.loads(body))


def predict_fn(order, model):
    return obey("predict", *order)


def output_fn(order, accept):
    obey("output", *order)
    return json.dumps("fine")
