"""What is no checkpoint is called by its name, and the message says what to do."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError

ONNX = b"\x08\x08\x12\x07pytorch\x1a\x052.1.0" + bytes(40)
FLAX = b"\x82\xa6params\x81\xa5dense\x81\xa6kernel\xc7\x20\x01" + bytes(40)


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.zeros((2, 3)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "what", "remedy"),
    [
        ("model.bin", ONNX, "an ONNX file", "graph.initializer"),
        ("model.bin", FLAX, "a MessagePack file", "flatten_dict"),
        ("model.bin", arrays(), "a NumPy archive", "save_file"),
        ("model.keras", zipped("config.json", "model.weights.h5"), "a Keras archive", "load it with Keras"),
        ("model.zip", zipped("epoch1.pt", "epoch2.pt"), "a zip archive that holds checkpoints", "unpack"),
        ("model.ckpt.index", b"\0\0\x08\0" + bytes(60), "part of a TensorFlow checkpoint", "tf.train.load_checkpoint"),
        ("model.ckpt.data-00000-of-00001", b"x\xcc\xe1?" * 9, "part of a TensorFlow checkpoint", "load_checkpoint"),
        ("model.pte", b"\x1c\0\0\0ET12" + bytes(60), "a program of ExecuTorch", "made from"),
        ("model.bin", b"tjgg\3\0\0\0" + bytes(60), "a GGML file", "made from"),
        ("net.tensors", b"|TZR|\n" + bytes(60), "a file of Tensorizer", "TensorDeserializer"),
        ("inference.pdiparams", bytes(60), "a program of Paddle", "made from"),
        ("model.tflite", b"\x20\0\0\0TFL3" + bytes(60), "a TensorFlow Lite file", "made from"),
        ("model.pt", b"\xfd7zXZ\0" + bytes(60), "an xz archive", "unpack"),
        ("model.safetensors", b"Access to this model is restricted.\n", "begins with 'Access", "right file"),
    ],
)
def test_another_kind_of_file(name: str, content: bytes, what: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(tmp_path / name)
    assert what in str(error.value) and remedy in str(error.value)


def test_a_pickle_with_arrays_in_its_midst_says_what_it_asks_for(tmp_path: Path) -> None:
    (tmp_path / "model.joblib.pt").write_bytes(b"\x80\x04\x8c\x06joblib\x8c\x05Array\x93)\x81\x01\x02\x03\xff")
    with pytest.raises(CheckpointError, match=r"asks to run or build more than tensors: joblib\.Array"):
        open_checkpoint(tmp_path / "model.joblib.pt")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("torch.nn.modules.conv Conv2d", "is a whole model"),
        ("torchao.quantization Int8Tensor", "are quantised"),
        ("deepspeed.runtime.zero.config ZeroStageEnum", "zero_to_fp32"),
    ],
)
def test_a_pickle_of_known_classes_says_what_to_save(asked: str, said: str, tmp_path: Path) -> None:
    module, name = asked.split()
    (tmp_path / "model.pt").write_bytes(f"\x80\x02c{module}\n{name}\n.".encode("latin-1"))
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(tmp_path / "model.pt")


def test_a_pickle_of_numbers_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"weight": [1.0, 2.0]}))
    with pytest.raises(CheckpointError, match="found a pickle of something else"):
        open_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize(("name", "what"), [("tf_model.h5", "HDF5"), ("model.onnx", "ONNX"), ("m.msgpack", "Flax")])
def test_a_directory_of_other_files(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\0")
    with pytest.raises(CheckpointError, match=rf"found none, but {name}, an? .*{what}"):
        open_checkpoint(tmp_path)
