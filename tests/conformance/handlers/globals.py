n = 0


def model_fn(d):
    return {"n": 0}


def predict_fn(x, m):
    global n
    n += 1
    m["n"] += 1
    return [n, m]
