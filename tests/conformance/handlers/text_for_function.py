def model_fn(model_dir):
    return "m"


predict_fn = "x"
