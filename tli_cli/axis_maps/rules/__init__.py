"""How an axis map is made from its sizes: one family of rules for each file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.registry import Registry

if TYPE_CHECKING:
    from tli_cli.axis_maps.take import Rule

RULES: Registry[Rule] = Registry(
    "axis rule",
    {
        "same": "tli_cli.axis_maps.rules.simple:same",
        "none": "tli_cli.axis_maps.rules.simple:none",
        "kernel": "tli_cli.axis_maps.rules.simple:kernel",
        "summed": "tli_cli.axis_maps.rules.simple:summed",
        "input": "tli_cli.axis_maps.rules.simple:input_channels",
        "rows": "tli_cli.axis_maps.rules.simple:rows",
        "tokens": "tli_cli.axis_maps.rules.simple:tokens",
        "strongest": "tli_cli.axis_maps.rules.simple:strongest",
        "even": "tli_cli.axis_maps.rules.simple:even",
        "directions": "tli_cli.axis_maps.rules.directions:directions",
        "mean": "tli_cli.axis_maps.rules.directions:mean",
        "widen": "tli_cli.axis_maps.rules.widen:widen",
        "rotary": "tli_cli.axis_maps.rules.rotary:rotary",
        "turned": "tli_cli.axis_maps.rules.rotary:turned",
        "spread": "tli_cli.axis_maps.rules.widen:spread",
        "net2net": "tli_cli.axis_maps.rules.widen:net2net",
        "patch": "tli_cli.axis_maps.rules.resample:patch",
        "grid": "tli_cli.axis_maps.rules.resample:grid",
        "offsets": "tli_cli.axis_maps.rules.resample:offsets",
    },
)
