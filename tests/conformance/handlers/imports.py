import lib.deep
import sibling


def model_fn(model_dir):
    return [sibling.__name__, lib.deep.__name__]


def predict_fn(data, model):
    import importlib.util

    return [*model, importlib.util.find_spec("at_the_root") is not None]
