def model_fn(model_dir):
    return "m"


def predict_fn(x, m):
    yield 1
