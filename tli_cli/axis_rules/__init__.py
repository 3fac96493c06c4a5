"""How an axis map is made from its sizes: one family of rules for each file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tli_cli.registry import Registry

if TYPE_CHECKING:
    from tli_cli.axes import Rule

RULES: Registry[Rule] = Registry(
    "axis rule",
    {
        "same": "tli_cli.axis_rules.simple:same",
        "none": "tli_cli.axis_rules.simple:none",
        "kernel": "tli_cli.axis_rules.simple:kernel",
        "input": "tli_cli.axis_rules.simple:input_channels",
        "rows": "tli_cli.axis_rules.simple:rows",
        "strongest": "tli_cli.axis_rules.narrow:strongest",
        "even": "tli_cli.axis_rules.narrow:even",
        "widen": "tli_cli.axis_rules.widen:widen",
        "rotary": "tli_cli.axis_rules.rotary:rotary",
        "spread": "tli_cli.axis_rules.widen:spread",
        "net2net": "tli_cli.axis_rules.widen:net2net",
        "patch": "tli_cli.axis_rules.resample:patch",
        "grid": "tli_cli.axis_rules.resample:grid",
        "offsets": "tli_cli.axis_rules.resample:offsets",
    },
)
