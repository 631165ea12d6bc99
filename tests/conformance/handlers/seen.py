"""Answers what each function was given."""

import json


def model_fn(model_dir, context):
    return [
        type(model_dir).__name__,
        context.request_processor is None,
        context.get_request_id(),
        context.manifest,
    ]


def input_fn(body, content_type):
    return [type(body).__name__, repr(body)[:100], content_type]


def predict_fn(seen, model, context):
    return {"seen": seen, "model": model, "headers": context.get_all_request_header(0)}


def output_fn(prediction, accept):
    return json.dumps(dict(prediction, accept=accept), sort_keys=True)
