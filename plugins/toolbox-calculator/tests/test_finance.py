"""Interest and loans."""

import pytest

import toolbox
from toolbox_calculator.finance import Loan, Savings, compound_interest, loan_payment


def test_interest_on_interest_agrees_with_a_ledger() -> None:
    balance = 1000.0
    for _ in range(24):
        balance = balance * (1 + 0.06 / 12) + 50
    savings = compound_interest(1000, 6, 2, periods_per_year=12, payment_per_period=50)
    assert savings.final_balance == round(balance, 2)
    assert savings.total_paid_in == 2200


def test_a_tiny_rate_loses_no_digits() -> None:
    assert compound_interest(0, 1e-9, 1, periods_per_year=12, payment_per_period=1e12).final_balance == 12000000000055


def test_without_interest_savings_are_what_was_paid_in() -> None:
    assert compound_interest(100, 0, 3, payment_per_period=10) == Savings(130, 130, 0)


def test_an_extreme_rate_gives_a_result_or_is_refused() -> None:
    assert compound_interest(1, 1000, 100).final_balance == pytest.approx(11.0**100)
    with pytest.raises(toolbox.ToolError, match="too large"):
        compound_interest(1e15, 1000, 100, periods_per_year=365)


def test_loan_payments_pay_the_loan_back() -> None:
    loan = loan_payment(10000, 12, 24)
    debt = 10000.0
    for _ in range(24):
        debt = debt * 1.01 - loan.monthly_payment
    assert debt == pytest.approx(0, abs=0.24)
    assert loan_payment(1200, 0, 12) == Loan(100, 1200, 0)
