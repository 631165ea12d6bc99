def model_fn(d, /):
    return "p"


def predict_fn(x, m, /, context):
    return [m, context.model_name]
