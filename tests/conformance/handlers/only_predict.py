def predict_fn(data, model):
    return [type(model).__name__, type(data).__name__, model(data).tolist()]
