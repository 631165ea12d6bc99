"""Calls the context's methods that the request names, and answers as it says."""

import json


def model_fn(model_dir):
    return None


def input_fn(body, content_type):
    return json.loads(body)


def predict_fn(orders, model, context):
    for name, *arguments in orders["context"]:
        getattr(context, name)(*arguments)
    return orders


def output_fn(orders, accept):
    if "raise" in orders:
        raise ValueError(orders["raise"])
    return ("body", orders["type"]) if "type" in orders else "body"
