def model_fn(*a):
    return len(a)


def predict_fn(*a):
    return len(a)
