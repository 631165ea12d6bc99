def model_fn(model_dir):
    return None


predict_fn = None
