"""Calculates for agents: arithmetic, statistics, percentages, units, interest, equations and whole numbers.

Each module holds tools that belong together; this one only hands them to ToolBox.
"""

from collections.abc import Callable
from typing import Any

import toolbox
from toolbox_calculator.arithmetic import evaluate, round_number
from toolbox_calculator.conversion import convert_unit, list_units
from toolbox_calculator.equations import solve_quadratic
from toolbox_calculator.finance import compound_interest, loan_payment
from toolbox_calculator.integers import convert_base, factorize, greatest_common_divisor
from toolbox_calculator.percentages import percentage, percentage_change
from toolbox_calculator.statistics import describe_numbers


@toolbox.hookimpl
def toolbox_tools() -> list[Callable[..., Any]]:
    """Offer the tools; ToolBox names each `calculator_<function>`."""
    return [
        evaluate,
        round_number,
        describe_numbers,
        percentage,
        percentage_change,
        convert_unit,
        list_units,
        compound_interest,
        loan_payment,
        solve_quadratic,
        greatest_common_divisor,
        factorize,
        convert_base,
    ]
