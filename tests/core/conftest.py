from __future__ import annotations

import pytest
import torch

from tli_cli.fitting import carry_out


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    monkeypatch.setattr(carry_out, "STEPS", 3)
