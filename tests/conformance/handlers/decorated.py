import functools


def plain(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@wrapped
def model_fn(model_dir):
    return "m"


@plain
def input_fn(body, content_type):
    return [body, content_type]


@functools.lru_cache
def cached(model):
    return model


@wrapped
def predict_fn(data, model, context):
    return [data, cached(model), context.model_name]
