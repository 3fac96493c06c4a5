from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from tli_cli.catalogue.libraries import import_timm
from tli_cli.describe.tracing.trace import trace

pytestmark = pytest.mark.skipif(not all(map(find_spec, ("timm", "transformers"))), reason="needs timm and transformers")

WIDTHS = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 50,
}
TIMM = ("resnet18", "resnet26d", "mobilenetv2_050", "efficientnet_lite0", "regnety_002", "convnext_atto", "densenet121",
        "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224")  # fmt: skip
TEXT: dict[str, dict[str, int]] = {
    "Bert": {},
    "DistilBert": {"dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 96},
    "Llama": {"num_key_value_heads": 2},
    "T5": {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4},
}
LEAST = {"order": 0.98, "kinds": 0.96, "blocks": 0.99, "coupled": 0.93, "uncoupled": 0.93}
GIVEN_ORDER = {**LEAST, "order": 0.9}


def traced_timm(name: str) -> tuple[Any, dict[str, Any] | None]:
    timm = import_timm()
    with torch.device("meta"):
        model = timm.create_model(name)
    side = model.default_cfg["input_size"][-1]
    return trace(model, (torch.empty(1, 3, side, side, device="meta"),)), None


def traced_text(name: str) -> tuple[Any, dict[str, Any] | None]:
    import_timm()
    import transformers

    config = getattr(transformers, f"{name}Config")(**(WIDTHS | TEXT[name]))
    with torch.device("meta"):
        model = getattr(transformers, f"{name}Model")(config)
    tokens = torch.zeros(1, 6, dtype=torch.long, device="meta")
    inputs = {"input_ids": tokens}
    if name == "T5":
        inputs["decoder_input_ids"] = tokens
    if name == "Llama":
        inputs["attention_mask"] = torch.zeros(1, 1, 6, 6, device="meta")
    return trace(model, (), kwargs=inputs), config.to_dict()


CASES = [(traced_timm, name) for name in TIMM] + [(traced_text, name) for name in TEXT]


@pytest.mark.parametrize(("order_from", "least"), [("inferred", LEAST), ("definition", GIVEN_ORDER)])
@pytest.mark.parametrize(("traced", "name"), CASES, ids=[name for _, name in CASES])
def test_names_tell_what_the_trace_tells(
    traced: Callable[[str], tuple[Any, dict[str, Any] | None]],
    name: str,
    order_from: str,
    least: dict[str, float],
    agreement: Callable[..., Any],
) -> None:
    architecture, config = traced(name)
    found = agreement(architecture, order_from, config)
    short = {figure: getattr(found, figure) for figure, bound in least.items() if getattr(found, figure) < bound}
    assert not short, f"{name}: below {least}: {short}"
