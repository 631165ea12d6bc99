import json


def model_fn(model_dir):
    return None


def input_fn(body, content_type, context, extra="no"):
    return json.loads(body)


def predict_fn(data, model):
    return data
