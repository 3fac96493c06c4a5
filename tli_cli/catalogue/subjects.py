"""The models that the libraries hold: how to build each with other options, and what to run it on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tli_cli.catalogue.detection import traceable
from tli_cli.catalogue.libraries import import_timm, import_torchvision
from tli_cli.checkpoints.in_files import Layouts
from tli_cli.errors import TraceError, first_line


@dataclass(frozen=True)
class Subject:
    """One model of a library.

    Attributes:
        create: builds the model from `num_classes` and `in_chans`; other keywords go to the library.
        input_size: the shape of one sample, channels first.
        defaults: the options' values where none are given; absent ones it does not take.
        inputs: how many such samples the model takes side by side.
        keywords: what else it is run on, on the `meta` device.
        said: what the user should know of how it was named.
    """

    library: str
    name: str
    create: Callable[..., nn.Module]
    input_size: tuple[int, ...]
    defaults: Mapping[str, int]
    inputs: int = 1
    keywords: Mapping[str, torch.Tensor] = field(default_factory=dict)
    said: tuple[str, ...] = ()

    def arguments(self, in_chans: int | None = None) -> tuple[torch.Tensor, ...]:
        """Return what the model is traced on: a batch of two on the `meta` device.

        Raises:
            TraceError: it has more values than can be counted.
        """
        size = (in_chans, *self.input_size[1:]) if in_chans else self.input_size
        try:
            return tuple(torch.empty(2, *size, device="meta") for _ in range(self.inputs))
        except (RuntimeError, TypeError) as error:
            raise TraceError(f"an input of {'x'.join(map(str, size))} cannot be made: {first_line(error)}") from error

    def in_files(self) -> Layouts:
        """Return what stands in the library's files for the tensors that have other names there, or other forms."""
        return {}


def model_names(library: str) -> list[str]:
    """Return the names of the models of `library` (`timm` or `torchvision`)."""
    if library == "timm":
        return list(import_timm().list_models())
    return list(_torchvision_models().list_models())


def subject_of(library: str, name: str) -> Subject:
    """Return the model `name` of `library`, as the library builds it."""
    return timm_subject(name) if library == "timm" else torchvision_subject(name)


def timm_subject(name: str, **arguments: Any) -> Subject:
    """Return the timm model `name`, built with `arguments`."""
    timm = import_timm()
    config = timm.models.get_pretrained_cfg(name)
    size = tuple(config.input_size) if config is not None else (3, 224, 224)
    if "img_size" in arguments:
        image = arguments["img_size"]
        size = (size[0], *(image if isinstance(image, (list, tuple)) else (image, image)))
    classes = 1000 if config is None else config.num_classes

    def create(**options: int) -> nn.Module:
        model: nn.Module = timm.create_model(name, **{**arguments, **options})
        return model

    return Subject("timm", name, create, size, {"num_classes": classes, "in_chans": size[0]})


def _torchvision_models() -> Any:
    import_torchvision()
    import torchvision.models

    return torchvision.models


def torchvision_subject(name: str, **arguments: Any) -> Subject:
    """Return the torchvision model `name`, built with `arguments`."""
    builder = _torchvision_models().get_model_builder(name)
    parameters = inspect.signature(builder).parameters
    fixed: dict[str, Any] = {"weights": None}
    if "weights_backbone" in parameters:
        fixed["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        fixed["init_weights"] = True

    def create(in_chans: int = 3, **options: int) -> nn.Module:
        model: nn.Module = builder(**{**fixed, **arguments, **options})
        return traceable(model if in_chans == 3 else _with_channels(model, in_chans))

    family = builder.__module__.rpartition("models.")[2].partition(".")[0]
    with torch.device("meta"):
        classes = _classes(family, builder)
    options = {} if classes is None else {"num_classes": classes, "in_chans": 3}
    return Subject(
        "torchvision", name, create, _torchvision_size(family, name), options, 2 if family == "optical_flow" else 1
    )


def _classes(family: str, builder: Callable[..., nn.Module]) -> int | None:
    given = inspect.signature(builder).parameters.get("num_classes")
    if family == "optical_flow":
        return None
    if given is not None and isinstance(given.default, int):
        return given.default
    return {"detection": 91, "segmentation": 21, "video": 400}.get(family, 1000)


def _torchvision_size(family: str, name: str) -> tuple[int, ...]:
    if family == "video":
        return (3, 16, 224, 224) if name.startswith(("mvit", "swin", "s3d")) else (3, 16, 112, 112)
    if family == "optical_flow":
        return (3, 128, 128)
    if family == "detection":
        return (3, 320, 320) if "320" in name else (3, 300, 300) if "300" in name else (3, 224, 224)
    return (3, 299, 299) if name == "inception_v3" else (3, 224, 224)


def _with_channels(model: nn.Module, in_chans: int) -> nn.Module:
    """Replace the first convolution of three channels by the same one of `in_chans` channels."""
    for path, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.in_channels == 3:
            kind: Any = type(module)
            sizes = (module.kernel_size, module.stride, module.padding, module.dilation)
            other = kind(in_chans, module.out_channels, *sizes, bias=module.bias is not None)
            parent, _, last = path.rpartition(".")
            setattr(model.get_submodule(parent), last, other)
            return model
    raise ValueError("no convolution takes three channels")
