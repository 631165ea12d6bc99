def model_fn(model_dir):
    return "m"


def transform_fn(model, body, content_type, accept="none"):
    return [model, body, content_type, accept]
