log = []


def pre_model_fn(d, context):
    log.append(context.model_name)


def model_fn(d):
    log.append("model")


def model_warmup_fn(d, m):
    log.append("warm")


def predict_fn(x, m):
    return log
