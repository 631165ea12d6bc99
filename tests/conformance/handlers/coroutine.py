def model_fn(model_dir):
    return "m"


async def predict_fn(x, m):
    return "ok"
