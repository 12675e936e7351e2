"""Whole numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_calculator.integers import CommonNumbers, PrimePower, convert_base, factorize, greatest_common_divisor


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=5))
def test_the_divisor_divides_and_the_multiple_is_divided(numbers: list[int]) -> None:
    common = greatest_common_divisor(numbers)
    assert all(number % common.greatest_common_divisor == 0 for number in numbers)
    assert all(common.least_common_multiple % number == 0 for number in numbers)


def test_zero_and_negative_numbers_have_a_common_divisor() -> None:
    assert greatest_common_divisor([-12, 18]) == CommonNumbers(6, 36)
    assert greatest_common_divisor([0, 5]) == CommonNumbers(5, 0)


@given(st.integers(2, 10**6))
def test_prime_factors_multiply_to_the_number(number: int) -> None:
    factorization = factorize(number)
    assert math.prod(factor.prime**factor.exponent for factor in factorization.factors) == number
    assert factorization.is_prime == (sum(factor.exponent for factor in factorization.factors) == 1)


def test_the_hardest_numbers_are_factorized() -> None:
    assert factorize(999_983**2).factors == [PrimePower(999_983, 2)]
    assert factorize(999_999_999_989).is_prime


@given(st.integers(-(10**300), 10**300), st.integers(2, 36))
def test_a_number_survives_the_way_to_another_base_and_back(number: int, base: int) -> None:
    there = convert_base(str(number), 10, base)
    assert int(there, base) == number
    assert convert_base(there, base, 10) == str(number)


@pytest.mark.parametrize(("number", "base"), [("12", 2), ("0xff", 10), ("", 10), ("1.5", 10), ("--1", 10)])
def test_digits_that_the_base_does_not_have_are_refused(number: str, base: int) -> None:
    with pytest.raises(toolbox.ToolError, match=f"is not a whole number in base {base}"):
        convert_base(number, base, 10)


def test_prefixes_and_letters_of_either_case_are_read() -> None:
    assert convert_base("0xFF", 16, 2) == convert_base("ff", 16, 2) == "11111111"
    assert convert_base("0", 10, 2) == "0"
    assert convert_base("-255", 10, 16) == "-ff"
