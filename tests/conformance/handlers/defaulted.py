def model_fn(model_dir):
    return "m"


def predict_fn(x, m, extra=None):
    return [m, type(extra).__name__]
