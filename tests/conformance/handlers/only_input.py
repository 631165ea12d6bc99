import torch


def input_fn(body, content_type):
    return torch.tensor([float(len(body)), 1.5])
