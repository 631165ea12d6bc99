class Run:
    """Callable, but not hashable."""

    count = 0

    def __call__(self, data, model):
        self.count += 1
        return [self.count, repr(model)]

    def __eq__(self, other):
        return True


class model_fn:
    def __init__(self, model_dir):
        pass

    def __repr__(self):
        return "M"


predict_fn = Run()
