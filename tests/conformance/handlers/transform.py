import json


def model_fn(d):
    return "m"


def transform_fn(m, b, ct, a, context):
    return {"a": ("x", "a/b"), "b": None, "c": {"m": m}, "d": context.model_name}[json.loads(b)]
