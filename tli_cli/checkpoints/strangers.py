"""What a file is that is no checkpoint, by its first bytes or its name, and what to do with it."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePath

_ORIGIN = "use the checkpoint that it was made from"
_ONNX = (
    "an ONNX file",
    f"{_ORIGIN}; or save its weights with safetensors.numpy.save_file: "
    "{w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(FILE).graph.initializer}",
)
_TENSORFLOW = (
    "part of a TensorFlow checkpoint",
    "read the whole one: reader = tf.train.load_checkpoint(PREFIX); safetensors.numpy.save_file("
    "{n.removesuffix('/.ATTRIBUTES/VARIABLE_VALUE'): reader.get_tensor(n) for n, kind in "
    'reader.get_variable_to_dtype_map().items() if kind.is_floating}, "new.safetensors")',
)
_KERAS = (
    "with model = keras.models.load_model(FILE), or model.load_weights(FILE), "
    'safetensors.numpy.save_file({w.path: w.numpy() for w in model.weights}, "new.safetensors")'
)
_HDF5 = (
    "an HDF5 file",
    f"use the safetensors or torch file beside it, or load it with the library that wrote it; of Keras, {_KERAS}",
)
_FLAT = (
    "safetensors.numpy.save_file({n: numpy.asarray(v) for n, v in flax.traverse_util.flatten_dict(tree, "
    "sep='.').items()}, \"new.safetensors\")"
)
_FLAX = (
    "a MessagePack file, as Flax writes them",
    f"with tree = flax.serialization.msgpack_restore(open(FILE, 'rb').read()), {_FLAT}",
)
_NPZ = ("a NumPy archive (.npz)", 'safetensors.numpy.save_file(dict(numpy.load(FILE)), "new.safetensors")')
_GGUF = ("a GGUF file", "use the safetensors or torch files that it was made from")
_ARCHIVE = "unpack it first"
_WEB_PAGE = ("a web page", "download the file itself")

_BEGINNINGS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer", "fetch the real file with `git lfs pull`"),
    (0, b"\x89HDF", *_HDF5),
    (0, b"GGUF", *_GGUF),
    *((0, magic, "a GGML file, an older form of GGUF", _GGUF[1]) for magic in (b"lmgg", b"tjgg", b"fmgg", b"algg")),
    *((0, magic, "a TensorRT engine", _ORIGIN) for magic in (b"ftrt", b"ptrt")),
    (4, b"ET12", "a program of ExecuTorch", _ORIGIN),
    (0, b"|TZR|", "a file of Tensorizer", "load it with TensorDeserializer, and save the model's `state_dict()`"),
    (0, b"\x93NUMPY", "a NumPy array", "save the tensors as safetensors"),
    (0, b"\x1f\x8b", "a gzip archive", f"{_ARCHIVE}: tar -xf does for .tar.gz, .tgz and .nemo, gunzip for others"),
    (0, b"BZh", "a bzip2 archive", _ARCHIVE),
    (0, b"\xfd7zXZ", "an xz archive", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", _ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _ARCHIVE),
    (0, b"Rar!", "a RAR archive", _ARCHIVE),
    (4, b"TFL3", "a TensorFlow Lite file", _ORIGIN),
    (0, b"<!DOCTYPE", *_WEB_PAGE),
    (0, b"<!doctype", *_WEB_PAGE),
    (0, b"<html", *_WEB_PAGE),
    (0, b"<?xml", "an XML file", _ORIGIN),
)
_NAMES = (
    (re.compile(r"\.onnx([._]data)?$"), *_ONNX),
    (re.compile(r"\.(index|meta|data-\d+-of-\d+)$"), *_TENSORFLOW),
    (re.compile(r"\.pb$"), "a TensorFlow graph", "read it with TensorFlow and save its variables as safetensors"),
    (re.compile(r"\.(h5|hdf5)$"), *_HDF5),
    (re.compile(r"\.gguf$"), *_GGUF),
    (re.compile(r"\.msgpack$"), *_FLAX),
    (re.compile(r"\.npz$"), *_NPZ),
    (re.compile(r"\.mlmodel$|^Manifest\.json$"), "a Core ML file", _ORIGIN),
    (re.compile(r"^openvino_.*\.(bin|xml)$"), "an OpenVINO file", _ORIGIN),
    (re.compile(r"\.(pdiparams|pdmodel)$"), "a program of Paddle, as it is deployed", _ORIGIN),
    (re.compile(r"\.(pdparams|pdopt)$"), "a file of Paddle", "save its state dict with safetensors in Paddle"),
    (re.compile(r"\.(engine|plan)$"), "a TensorRT engine", _ORIGIN),
    (re.compile(r"\.caffemodel$"), "a Caffe model", _ORIGIN),
    (re.compile(r"\.weights$"), "weights of Darknet", "convert them to a file of torch with the model's own code"),
    (re.compile(r"^(manifest\.ocdbt|_METADATA)$"), "part of a checkpoint of Orbax",
     f"with tree = orbax.checkpoint.StandardCheckpointer().restore(DIRECTORY), {_FLAT}"),
)  # fmt: skip
_ZIPPED = (
    (re.compile(r"\.npy$"), *_NPZ),
    (re.compile(r"\.weights\.h5$"), "a Keras archive",
     f"load it with Keras and save its weights: {_KERAS}"),
    (re.compile(r"\.(pt|pth|bin|ckpt|safetensors)$"), "a zip archive that holds checkpoints", _ARCHIVE),
)  # fmt: skip
_TEXT = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}


def stranger(name: str, head: bytes) -> tuple[str, str] | None:
    """Return what the file called `name`, which begins with `head`, is, and what to do; None where nothing tells.

    >>> stranger("model.bin", b"GGUF")[0], stranger("weights.bin", b"\\x00\\x01")
    ('a GGUF file', None)
    """
    for offset, magic, what, remedy in _BEGINNINGS:
        if head[offset : offset + len(magic)] == magic:
            return what, remedy
    for pattern, what, remedy in _NAMES:
        if pattern.search(PurePath(name).name):
            return what, remedy
    if len(head) > 4 and head[0] == 0x08 and 0 < head[1] < 0x40 and head[2] == 0x12 and _TEXT.issuperset(head[4:6]):
        return _ONNX  # two fields of a protocol buffer: a small version, and a short text
    if len(head) > 1 and 0x81 <= head[0] <= 0x8F and 0xA1 <= head[1] <= 0xBF:
        return _FLAX
    if head and _TEXT.issuperset(head):
        first = head.decode("ascii").strip().partition("\n")[0][:60]
        return f"a text that begins with {first!r}", "check that it is the right file"
    return None


def zipped_stranger(members: Collection[str]) -> tuple[str, str] | None:
    """Return what a zip archive of `members` is, and what to do with it; None where nothing tells."""
    found = (one for one in _ZIPPED if any(one[0].search(member) for member in members))
    _, what, remedy = next(found, (None, "", ""))
    return (what, remedy) if what else None
