import os


def model_fn(model_dir):
    return None


def input_fn(body, content_type):
    return body


def predict_fn(body, model):
    return {name: value for name, value in os.environ.items() if name.startswith(("MINE", "SAGEMAKER_TS_"))}
