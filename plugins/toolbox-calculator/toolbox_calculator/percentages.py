"""Tools for percentages."""

from msgspec import Struct

import toolbox
from toolbox_calculator.exact import to_exact, to_number
from toolbox_calculator.hints import PURE


class Percentage(Struct, frozen=True):
    """`part` is `percent` percent of `whole`."""

    part: float
    whole: float
    percent: float


class Change(Struct, frozen=True):
    """From one number to another: `difference` is what was added, `percent` the same as a percentage of `before`."""

    before: float
    after: float
    difference: float
    percent: float


@toolbox.tool(
    title="Percentage",
    category="math",
    tags=["percent", "share", "ratio", "discount", "tax"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="what is 15 percent of 80",
            arguments={"percent": 15, "whole": 80},
            result={"part": 12, "whole": 80, "percent": 15},
        ),
        toolbox.ToolExample(
            query="30 is what percent of 120",
            arguments={"part": 30, "whole": 120},
            result={"part": 30, "whole": 120, "percent": 25},
        ),
        toolbox.ToolExample(
            query="19% tax is 38, what was the amount",
            arguments={"part": 38, "percent": 19},
            result={"part": 38, "whole": 200, "percent": 19},
        ),
    ],
)
def percentage(part: float | None = None, whole: float | None = None, percent: float | None = None) -> Percentage:
    """Work out a percentage: a percent of a number, what percent one number is of another, or the whole.

    Give two of the three numbers; the third is calculated.

    Args:
        part: The part, such as 12 in "12 is 15% of 80".
        whole: The whole, such as 80 in "12 is 15% of 80".
        percent: The percentage, such as 15 in "12 is 15% of 80".
    """
    if part is None and whole is not None and percent is not None:
        value = to_exact(whole) * to_exact(percent) / 100
        return Percentage(to_number(value), to_number(whole), to_number(percent))
    if whole is None and part is not None and percent is not None:
        if percent == 0:
            raise toolbox.ToolError("percent is 0, and no whole can be told from 0 percent of it")
        value = to_exact(part) * 100 / to_exact(percent)
        return Percentage(to_number(part), to_number(value), to_number(percent))
    if percent is None and part is not None and whole is not None:
        if whole == 0:
            raise toolbox.ToolError("whole is 0, and nothing is a percentage of 0")
        value = to_exact(part) * 100 / to_exact(whole)
        return Percentage(to_number(part), to_number(whole), to_number(value))
    raise toolbox.ToolError("give exactly two of part, whole and percent; the third is calculated")


@toolbox.tool(
    title="Percentage change",
    category="math",
    tags=["percent", "growth", "increase", "decrease"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="by how many percent did the price rise from 50 to 65",
            arguments={"before": 50, "after": 65},
            result={"before": 50, "after": 65, "difference": 15, "percent": 30},
        ),
        toolbox.ToolExample(
            query="percentage drop from 80 to 60",
            arguments={"before": 80, "after": 60},
            result={"before": 80, "after": 60, "difference": -20, "percent": -25},
        ),
    ],
)
def percentage_change(before: float, after: float) -> Change:
    """Find by how many percent a number rose or fell: growth, increase, decrease, discount.

    Args:
        before: The old number; the change is a percentage of its size, so it cannot be 0.
        after: The new number.
    """
    if before == 0:
        raise toolbox.ToolError("before is 0: a change from 0 cannot be expressed in percent")
    difference = to_exact(after) - to_exact(before)
    percent = difference * 100 / abs(to_exact(before))
    return Change(to_number(before), to_number(after), to_number(difference), to_number(percent))
