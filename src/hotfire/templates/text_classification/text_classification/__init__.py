"""A convolutional text classifier: its data, training, evaluation and prediction."""
