def output_fn(prediction, accept):
    return repr(prediction), "text/plain"
