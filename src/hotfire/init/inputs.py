"""What a model takes, as far as its file tells: from what it was traced with, or from its first layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hotfire.init.pickles import Instance, Tensor, walk

_SIDE = 32
"""Height and width of an example image where the model does not say."""

_LARGEST = 20_000
"""More numbers than this make an example that nobody can read."""

_RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor that a model takes. `is_known` says that it surely does; else it is a guess."""

    shape: tuple[int, ...]
    dtype: str
    is_known: bool = False

    @property
    def example(self) -> Any:
        """Zeros of that shape, as JSON has them."""
        return _zeros(self.shape, 0 if "int" in self.dtype else 0.0)

    @property
    def is_small(self) -> bool:
        """Whether the example can be read by people."""
        count = 1
        for size in self.shape:
            count *= size
        return count <= _LARGEST


def of_traced(value: Any) -> tuple[Input, ...]:
    """The arguments with which TorchScript was traced, in their order."""
    return tuple(
        Input(one.shape, one.dtype, is_known=True) for one in _flat(value) if isinstance(one, Tensor)
    )


def of_layers(value: Any) -> tuple[Input, ...]:
    """What the first layer with weights takes, in the order in which a module was given its layers."""
    for layer in walk(value):
        state = layer.state if isinstance(layer.state, Mapping) else {}
        weights = {**_mapping(state.get("_parameters")), **state}
        found = _of_layer(layer.class_name.rpartition(".")[2], weights)
        if found is not None:
            return (found,)
    return ()


def of_weights(tensors: Mapping[str, Tensor]) -> tuple[Input, ...]:
    """What the first weights of a state_dict belong to: told by their names and shapes."""
    for name, tensor in tensors.items():
        found = _of_name(name, tensor)
        if found is not None:
            # Whatever its weights were kept in: they are copied into a model of plain numbers.
            return (replace(found, dtype="int64" if "int" in found.dtype else "float32"),)
    return ()


def _of_name(name: str, tensor: Tensor) -> Input | None:
    kind = name.rpartition(".")[2]
    if "weight_ih" in kind:
        return _of_layer("LSTM", {"weight_ih_l0": tensor})
    if kind != "weight" or len(tensor.shape) < 2:
        return None
    if len(tensor.shape) > 2:
        return _of_layer(f"Conv{len(tensor.shape) - 2}d", {"weight": tensor})
    is_embedding = "emb" in name.lower() or "wte" in name
    return _of_layer("Embedding" if is_embedding else "Linear", {"weight": tensor})


def _of_layer(kind: str, weights: Mapping[Any, Any]) -> Input | None:
    weight = weights.get("weight", weights.get("weight_ih_l0"))
    if not isinstance(weight, Tensor) or len(weight.shape) < 2:
        return None
    dtype = weight.dtype or "float32"
    if kind == "Linear":
        return Input((1, weight.shape[1]), dtype)
    if kind in ("Embedding", "EmbeddingBag"):
        return Input((1, 4), "int64")
    if kind in _RECURRENT:
        return Input((1, 4, weight.shape[1]), dtype)
    if kind in ("Conv1d", "Conv2d", "Conv3d"):
        sides = (_SIDE,) * (len(weight.shape) - 2)
        return Input((1, weight.shape[1], *sides), dtype)
    return None


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _flat(value: Any) -> list[Any]:
    if isinstance(value, Instance):
        return _flat([value.arguments, value.state])
    if isinstance(value, Mapping):
        return _flat([*value.values()])
    if isinstance(value, list | tuple):
        return [inner for one in value for inner in _flat(one)]
    return [value]


def _zeros(shape: tuple[int, ...], zero: float) -> Any:
    if not shape:
        return zero
    return [_zeros(shape[1:], zero) for _ in range(shape[0])]
