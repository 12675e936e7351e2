"""The tool that describes a list of numbers."""

import math
import statistics
from typing import Annotated

from msgspec import Meta, Struct

import toolbox
from toolbox_calculator.exact import to_exact, to_number
from toolbox_calculator.hints import PURE

Numbers = Annotated[list[float], Meta(min_length=1, max_length=10_000)]


class Quartiles(Struct, frozen=True):
    """The numbers below which a quarter, a half and three quarters of the values lie."""

    first: float
    second: float
    third: float


class Statistics(Struct, frozen=True):
    """A description of a list of numbers; what divides by count - 1 is null for a single number."""

    count: int
    sum: float
    mean: float
    median: float
    modes: Annotated[list[float], Meta(description="the most frequent values, in the order in which they first come")]
    minimum: float
    maximum: float
    quartiles: Annotated[Quartiles, Meta(description="interpolated, with minimum and maximum as the ends")]
    sample_variance: float | None
    sample_standard_deviation: float | None
    population_variance: float
    population_standard_deviation: float


@toolbox.tool(
    name="statistics",
    title="Statistics",
    category="math",
    tags=["statistics", "average", "mean", "median", "standard deviation"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="average, median and standard deviation of 2, 4, 4, 4, 5, 5, 7, 9",
            arguments={"numbers": [2, 4, 4, 4, 5, 5, 7, 9]},
            result={
                "count": 8,
                "sum": 40,
                "mean": 5,
                "median": 4.5,
                "modes": [4],
                "minimum": 2,
                "maximum": 9,
                "quartiles": {"first": 4, "second": 4.5, "third": 5.5},
                "sample_variance": 4.571428571428571,
                "sample_standard_deviation": 2.138089935299395,
                "population_variance": 4,
                "population_standard_deviation": 2,
            },
        ),
        toolbox.ToolExample(
            query="mean of a single measurement 0.1",
            arguments={"numbers": [0.1]},
            result={
                "count": 1,
                "sum": 0.1,
                "mean": 0.1,
                "median": 0.1,
                "modes": [0.1],
                "minimum": 0.1,
                "maximum": 0.1,
                "quartiles": {"first": 0.1, "second": 0.1, "third": 0.1},
                "sample_variance": None,
                "sample_standard_deviation": None,
                "population_variance": 0,
                "population_standard_deviation": 0,
            },
        ),
    ],
)
def describe_numbers(numbers: Numbers) -> Statistics:
    """Describe a list of numbers: average, median, mode, standard deviation, variance, quartiles, sum, range.

    Args:
        numbers: The numbers, 1 to 10,000 of them, in any order.
    """
    values = sorted(to_exact(number) for number in numbers)
    sample_variance = statistics.variance(values) if len(values) > 1 else None
    population_variance = statistics.pvariance(values)
    # quantiles() wants two values; those of a single number are that number
    first, second, third = statistics.quantiles(values if len(values) > 1 else values * 2, method="inclusive")
    return Statistics(
        count=len(values),
        sum=to_number(sum(values)),
        mean=to_number(statistics.mean(values)),
        median=to_number(statistics.median(values)),
        modes=[to_number(mode) for mode in statistics.multimode(map(to_exact, numbers))],
        minimum=to_number(values[0]),
        maximum=to_number(values[-1]),
        quartiles=Quartiles(to_number(first), to_number(second), to_number(third)),
        sample_variance=None if sample_variance is None else to_number(sample_variance),
        sample_standard_deviation=None if sample_variance is None else to_number(math.sqrt(sample_variance)),
        population_variance=to_number(population_variance),
        population_standard_deviation=to_number(math.sqrt(population_variance)),
    )
