from __future__ import annotations

import pytest
import torch

from tli_cli.fitting import work


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    monkeypatch.setattr(work, "STEPS", 3)
