from __future__ import annotations

import torch

from tli_cli.catalogue.libraries import import_timm, import_torchvision

import_torchvision()
import_timm()
torch.set_num_threads(1)
