"""What the tests of the catalogue share."""

from __future__ import annotations

import pytest
import torch

from tli_cli.catalogue.libraries import import_timm, import_torchvision
from tli_cli.errors import TliError

torch.set_num_threads(1)


def _installed(load):
    try:
        return load()
    except TliError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def timm():
    return _installed(import_timm)


@pytest.fixture(scope="session")
def torchvision():
    return _installed(import_torchvision)
