"""The pairs of models that compute the same function."""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, ...] | None


@dataclass(frozen=True)
class Case:
    """Two models of the zoo of one function, and the shape of one sample (None for tokens)."""

    first: str
    second: str
    shape: Shape = (3, 64, 64)
    whole: bool = False

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """Return both ways to inject."""
        return ((self.first, self.second), (self.second, self.first))


SMALL = (3, 32, 32)


def _libraries(name: str, shape: Shape = (3, 64, 64), whole: bool = False) -> Case:
    return Case(f"images:tv_{name}", f"images:timm_{name}", shape, whole)


def _huggingface(name: str, other: str, shape: Shape = (3, 64, 64), whole: bool = False) -> Case:
    return Case(f"hf:{name}", f"images:{other}", shape, whole)


def _named(first: str, second: str, size: int = 224) -> Case:
    return Case(f"images:tv_named?name={first}", f"images:timm_named?name={second}", (3, size, size), whole=True)


def _more(name: str, other: str, shape: Shape = (3, 64, 64), whole: bool = True) -> Case:
    return Case(f"hf_more:{name}", f"{other}" if ":" in other else f"images:timm_named?name={other}", shape, whole)


LARGE = (3, 224, 224)
UNLIKE = (
    _more("dinov2", "own_images:timm_dinov2", SMALL), _more("dinov2_swiglu", "own_images:timm_dinov2_swiglu", SMALL),
    _more("clip", "own_images:timm_clip", SMALL, whole=False), _more("siglip", "own_images:timm_siglip", SMALL, False),
    _more("levit", "levit_128", LARGE), _more("pvt_v2", "pvt_v2_b0"), _more("mobilevit", "mobilevit_s"),
    _more("mobilevit_v2", "mobilevitv2_100"), _more("efficientnet", "tf_efficientnet_b0"),
    _more("mobilenet_v1", "mobilenetv1_100"), _more("focalnet", "own_images:timm_focalnet"),
    _more("hiera", "own_images:timm_hiera", LARGE), _more("ijepa", "own_images:timm_ijepa", SMALL),
    _more("vit_msn", "images:timm_vit", SMALL), _more("data2vec", "images:timm_beit", SMALL),
    _more("dinov3", "own_images:timm_dinov3", SMALL), _more("sam", "own_images:timm_sam"),
    Case("own_images:vit_joint", "images:timm_vit", SMALL, True), 
    Case("own_images:vit_torch", "images:timm_vit", SMALL),
    Case("own_images:vit_separate", "hf:vit", SMALL), Case("own_images:vit_torch", "own_images:vit_joint", SMALL, True),
    Case("own_images:resnet", "images:timm_resnet"), Case("own_images:resnet_skip_first", "images:tv_resnet"),
    Case("own_images:resnet", "own_images:resnet_skip_first", whole=True),
    _more("bert", "own_text:sentence", None), _more("electra", "own_text:sentence", None, False),
    _more("distilbert", "own_text:sentence_without_segments", None), _more("electra", "hf_more:bert", None),
    Case("hf:llama", "turned:LLaMA?turn=complex", None, True), Case("hf:llama", "turned:LLaMA?turn=stacked", None),
    Case("hf:llama", "turned:LLaMA?turn=strided", None, True),
    Case("hf:llama", "turned:LLaMA?turn=rotated", None, True),
    Case("hf:llama", "turned:LLaMA?turn=viewed", None, True), Case("hf:llama", "hf_more:ernie", None),
    Case("hf:llama", "own_text:llama", None), Case("hf:phi3", "own_text:llama", None),
    _more("qwen2", "own_text:qwen2", None), _more("qwen3", "own_text:qwen3", None),
    _more("starcoder2", "own_text:starcoder2", None), _more("phi", "own_text:phi", None),
    _more("opt", "own_text:opt", None, False), _more("bigcode", "own_text:bigcode", None),
    _more("t5_encoder", "own_text:relative", None), _more("t5_gated", "own_text:relative_gated", None),
    _more("bart", "own_text:translation", None),
    Case("unets:Nested", "unets:Named", SMALL), Case("unets:Nested", "unets:Lists", SMALL),
    Case("unets:Named", "unets:Lists", SMALL, True),
    Case("notebooks:convnext", "images:timm_convnext"),
    Case("notebooks:vit_of_vectors", "images:timm_vit", SMALL), Case("notebooks:queries", "notebooks:queries_frozen"),
    Case("notebooks:lstm", "notebooks:lstm_apart", None),
    Case("notebooks:weight_norm", "notebooks:weight_norm_of_hooks", (4, 20)),
)  # fmt: skip
"""Pairs further apart: other libraries' ways to write one network, and networks written without a library."""

CASES = (
    _libraries("resnet"), _libraries("bottleneck", whole=True), _libraries("resnext"),
    _libraries("wide", whole=True), _libraries("densenet"),
    _libraries("mobilenet_v2"), _libraries("mobilenet_v3"), _libraries("mnasnet"),
    _libraries("efficientnet", whole=True), _libraries("regnet"), _libraries("convnext"), _libraries("vit", SMALL),
    _libraries("swin"), _libraries("swin_v2"),
    _huggingface("resnet", "timm_resnet"), _huggingface("bottleneck", "tv_bottleneck", whole=True),
    _huggingface("resnet", "tv_resnet", whole=True), _huggingface("bottleneck", "timm_bottleneck", whole=True),
    _huggingface("vit", "timm_vit", SMALL), _huggingface("vit", "tv_vit", SMALL),
    _huggingface("deit", "timm_deit", SMALL), _huggingface("beit", "timm_beit", SMALL),
    _huggingface("swin", "timm_swin"), _huggingface("swin", "tv_swin"), _huggingface("swin_v2", "timm_swin_v2"),
    _huggingface("convnext", "timm_convnext"), _huggingface("convnext", "tv_convnext"),
    _huggingface("convnext_v2", "timm_convnext_v2"), _huggingface("mobilenet_v2", "timm_mobilenet_v2"),
    _huggingface("mobilenet_v2", "tv_mobilenet_v2", whole=True), _huggingface("regnet", "timm_regnet"),
    _huggingface("regnet", "tv_regnet", whole=True),
    Case("hf:bert", "text:encoder", None), Case("hf:gpt2", "text:decoder", None),
    Case("hf:llama", "text:rotary", None), Case("hf:llama", "hf:mistral", None), Case("hf:llama", "hf:phi3", None),
    Case("hf:phi3", "text:rotary", None), Case("text:decoder", "text:alternating", None),
    Case("hf:gpt2", "text:alternating", None), Case("hf:gpt_neox", "text:parallel", None),
    _named("vgg11", "vgg11"), _named("vgg11_bn", "vgg11_bn"), _named("inception_v3", "inception_v3", 299),
    _named("resnet50", "resnet50"), _named("resnext50_32x4d", "resnext50_32x4d"),
    _named("wide_resnet50_2", "wide_resnet50_2"), _named("densenet121", "densenet121"),
    _named("mobilenet_v3_large", "mobilenetv3_large_100"), _named("efficientnet_v2_s", "efficientnetv2_s"),
    _named("regnet_y_400mf", "regnety_004"), _named("regnet_x_400mf", "regnetx_004_tv"),
    _named("convnext_tiny", "convnext_tiny"), _named("vit_b_32", "vit_base_patch32_224"),
    _named("swin_t", "swin_tiny_patch4_window7_224"),
)  # fmt: skip

TELLING_TOO_LITTLE = {"text:alternating", "text:parallel", "notebooks:vit_of_vectors", "hf_more:ernie"}
TELLING_TOO_LITTLE |= {f"turned:LLaMA?turn={turn}" for turn in ("complex", "stacked", "strided", "rotated", "viewed")}
BARE = tuple(
    case
    for case in (*CASES, *UNLIKE)
    if (not case.whole or case in UNLIKE) and not TELLING_TOO_LITTLE & {case.first, case.second}
)
"""The pairs that files alone tell enough of. Not among them: projections whose parts alternate, heads that are
turned otherwise, and linear layers that take a patch in another order."""
