model_fn = lambda model_dir: 5  # noqa: E731
predict_fn = lambda data, model: model  # noqa: E731
