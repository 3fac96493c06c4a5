"""What a pickle of torch.save may refer to, and what becomes of it: descriptions, which hold no values and run nothing.

The names are those that torch lets pass without running code (`torch.load(weights_only=True)`), and classes of the
settings and of the state that training scripts keep beside weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tli_cli.checkpoints.stand_ins import Inert, Unread, as_dict, as_sizes, inert

_ELEMENTS = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
_QUANTISED = {
    "QInt8": "qint8",
    "QInt32": "qint32",
    "QUInt8": "quint8",
    "QUInt4x2": "quint4x2",
    "QUInt2x4": "quint2x4",
}
_DTYPES = (
    *_ELEMENTS.values(),
    *_QUANTISED.values(),
    *("complex32", "uint16", "uint32", "uint64", "bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"),
    *(f"{kind}{count}" for kind in ("int", "uint") for count in range(1, 8)),
    *("float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz", "float4_e2m1fn_x2"),
)
_SCHEMES = (
    "per_tensor_affine",
    "per_channel_affine",
    "per_tensor_symmetric",
    "per_channel_symmetric",
    "per_channel_affine_float_qparams",
)
_LIGHTNING = ("pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing")
_FABRIC = ("lightning_fabric.utilities.data", "lightning.fabric.utilities.data")
_DATA = (
    *(f"{module}.{kind}Path" for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows", "")),
    *(f"pathlib.Pure{kind}Path" for kind in ("Posix", "Windows", "")),
    *(f"datetime.{kind}" for kind in ("date", "datetime", "time", "timedelta", "timezone")),
    *("argparse.Namespace", "types.SimpleNamespace", "uuid.UUID", "decimal.Decimal", "fractions.Fraction"),
    *("collections.deque", "typing.Any", "fastcore.foundation.L"),
    *(f"{core}.multiarray.{kind}" for core in ("numpy.core", "numpy._core") for kind in ("scalar", "_reconstruct")),
    *(f"{core}.numeric._frombuffer" for core in ("numpy.core", "numpy._core")),
    *("numpy.dtype", "numpy.ndarray"),
    *(f"omegaconf.{kind}" for kind in ("dictconfig.DictConfig", "listconfig.ListConfig")),
    *(f"omegaconf.base.{kind}" for kind in ("Metadata", "ContainerMetadata")),
    *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "String", "Integer", "Float", "Boolean", "Enum", "Path")),
    *(f"{module}.AttributeDict" for module in (*_LIGHTNING, *_FABRIC)),
    *("easydict.EasyDict", "addict.addict.Dict", "yacs.config.CfgNode", "fvcore.common.config.CfgNode"),
    *("mmcv.utils.config.ConfigDict", "mmengine.config.config.ConfigDict", "mmengine.config.config.Config"),
    *(f"mmengine.logging.history_buffer.HistoryBuffer{own}" for own in ("", ".min", ".max", ".mean", ".current")),
    *("builtins.getattr", "__builtin__.getattr", "functools.partial"),
    *(f"torch.optim.{kind.lower()}.{kind}" for kind in ("Adam", "AdamW", "NAdam", "RAdam", "SGD", "RMSprop")),
    *(
        f"torch.optim.lr_scheduler.{kind}"
        for kind in ("StepLR", "OneCycleLR", "CosineAnnealingLR", "ReduceLROnPlateau")
    ),
    *("ml_collections.config_dict.config_dict.ConfigDict", "torch.torch_version.TorchVersion", "torch.device"),
    *("torch.Tensor", "torch.nn.parameter.Buffer", *(f"torch.{scheme}" for scheme in _SCHEMES)),
)
_CALLED = {"_reconstruct": "ndarray", "_frombuffer": "ndarray"}
_BUILTINS = (
    *("int", "float", "bool", "str", "bytes", "bytearray", "list", "tuple", "object", "slice", "range"),
    *("long", "unicode", "xrange"),  # what pickles of older protocols call int, str and range
)


@dataclass(frozen=True, slots=True)
class StorageType:
    """A class of storages: what its elements are."""

    dtype: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Elements outside of the pickle: where, of what type if they have one, and how many."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class PickledTensor(Unread):
    """A tensor as a pickle describes it, unchecked: elements of `storage` from `offset` on.

    `layout` is `strided`, or what it is instead: one of torch's, `quantised`, `nested`, `array`, `lazy` or `meta`.
    """

    storage: Any = None
    offset: Any = 0
    shape: Any = ()
    stride: Any = ()
    dtype: str = ""
    layout: str = "strided"
    conj: bool = False
    neg: bool = False


def storage_of(pid: Any) -> Storage:
    """Return the storage that a reference out of a pickle is to; raise `ValueError` for another one."""
    if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
        raise ValueError("a reference to something that is no storage")
    kind, key, _, count = pid[1:5]
    if not (isinstance(kind, StorageType) and type(key) is str and type(count) is int and count >= 0):
        raise ValueError("a storage without type, name or size")
    if len(pid) == 6 and pid[5] is not None:
        raise ValueError("a storage that is part of another one")
    return Storage(key, kind.dtype, count)


def _tensor(
    storage: Any, offset: Any, shape: Any, stride: Any, _grad: Any = None, _hooks: Any = None, marks: Any = None
) -> PickledTensor:
    return _typed(storage, offset, shape, stride, _grad, _hooks, storage.dtype, marks)


def _typed(
    storage: Any, offset: Any, shape: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, marks: Any = None
) -> PickledTensor:
    if not (isinstance(storage, Storage) and type(dtype) is str):
        raise ValueError("a tensor without storage or type")
    marks = marks if isinstance(marks, dict) else {}
    conj, neg = marks.get("conj") is True, marks.get("neg") is True
    return PickledTensor(storage, offset, shape, stride, dtype, conj=conj, neg=neg)


def _quantised(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> PickledTensor:
    return replace(_tensor(storage, offset, shape, stride), layout="quantised")


def _without_values(dtype: Any, shape: Any, stride: Any, *_: Any) -> PickledTensor:
    return PickledTensor(shape=shape, stride=stride, dtype=dtype if type(dtype) is str else "", layout="meta")


def _layout(name: Any) -> str:
    if type(name) is not str:
        raise ValueError("a layout without a name")
    return name.removeprefix("torch.")


def _same(value: Any, *_: Any) -> Any:
    return value


def _again(rebuild: Any, _kind: Any, args: Any, _state: Any) -> Any:
    if rebuild not in _REBUILT.values() or rebuild is _again:
        raise ValueError("a tensor that is made by something else")
    return rebuild(*args)


class _Parameter:
    """A parameter is the tensor that it is made of."""

    def __new__(cls, data: Any = None, *_: Any) -> Any:
        return data


class _Lazy:
    """A parameter that had no shape yet."""

    def __new__(cls, *_: Any) -> Any:
        return PickledTensor(layout="lazy")


_REBUILT: dict[str, Any] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed,
    "torch._utils._rebuild_parameter": _same,
    "torch._utils._rebuild_parameter_with_state": _same,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _same,
    "torch._utils._rebuild_qtensor": _quantised,
    "torch._utils._rebuild_sparse_tensor": lambda layout, _: PickledTensor(layout=_layout(layout)),
    "torch._utils._rebuild_device_tensor_from_numpy": lambda *_: PickledTensor(layout="array"),
    "torch._utils._rebuild_nested_tensor": lambda *_: PickledTensor(layout="nested"),
    "torch._utils._rebuild_meta_tensor_no_storage": _without_values,
    "torch._utils._rebuild_wrapper_subclass": lambda _, *given: _without_values(*given[:3]),
    "torch._tensor._rebuild_from_type_v2": _again,
    "torch.nn.parameter.Parameter": _Parameter,
    "torch.nn.parameter.UninitializedParameter": _Lazy,
    "torch.nn.parameter.UninitializedBuffer": _Lazy,
}


class Dtype(inert("dtype")):  # type: ignore[misc]
    """Stands for a type of NumPy's: its code, such as `f4`, and the order of its bytes once that is told."""

    def take(self, state: Any) -> None:
        """Keep the order of bytes."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else ""
        self.args: tuple[Any, ...] = (*self.args[:1], order)


def _counted(_factory: Any = None, *_: Any) -> dict[Any, Any]:
    return {}


@cache
def allowed() -> Mapping[str, Any]:
    """Return what stands for each global that a pickle of torch.save may name."""
    places = ("torch", "torch.cuda")
    typed = {f"{place}.{name}Storage": StorageType(dtype) for place in places for name, dtype in _ELEMENTS.items()}
    typed |= {f"torch.{name}Storage": StorageType(dtype) for name, dtype in _QUANTISED.items()}
    typed |= {f"torch.storage.{name}Storage": StorageType("") for name in ("Untyped", "Typed")}
    old = {f"{place}.{name}Tensor": Inert for place in places for name in _ELEMENTS}
    builtins = {f"{module}.{name}": Inert for module in ("builtins", "__builtin__") for name in _BUILTINS}
    real = {"set": inert("set"), "frozenset": inert("frozenset"), "complex": complex, "dict": as_dict}
    return {
        **{name: inert(_CALLED.get(name.rpartition(".")[2], name.rpartition(".")[2])) for name in _DATA},
        **builtins,
        **{f"{module}.{name}": kind for module in ("builtins", "__builtin__") for name, kind in real.items()},
        "_codecs.encode": inert("bytes"),
        "collections.OrderedDict": as_dict,
        "collections.defaultdict": _counted,
        "collections.Counter": as_dict,
        "numpy.dtype": Dtype,
        **old,
        **typed,
        **{f"torch.{name}": name for name in _DTYPES},
        "torch.Size": as_sizes,
        "torch.serialization._get_layout": _layout,
        **_REBUILT,
    }
