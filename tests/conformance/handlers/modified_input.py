def model_fn(model_dir):
    return "m"


def input_fn(body, content_type):
    body += b"!"
    return bytes(memoryview(body)[:2]), body.endswith(b"!")


def predict_fn(data, model):
    return repr(data)


def output_fn(prediction, accept):
    return prediction
