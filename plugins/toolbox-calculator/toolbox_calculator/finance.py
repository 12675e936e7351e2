"""Tools for interest and loans. They calculate; they know no currency, fee or tax."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Annotated

from msgspec import Meta, Struct

import toolbox
from toolbox_calculator.exact import round_exact, to_exact, to_number
from toolbox_calculator.hints import PURE

Amount = Annotated[float, Meta(ge=0, le=1e15)]
AnnualRate = Annotated[float, Meta(ge=0, le=1000)]


class Savings(Struct, frozen=True):
    """What money has become; amounts are rounded to 2 digits."""

    final_balance: float
    total_paid_in: float
    total_interest: float


class Loan(Struct, frozen=True):
    """What a loan costs; amounts are rounded to 2 digits, and `monthly_payment` before the totals are formed."""

    monthly_payment: float
    total_paid: float
    total_interest: float


@toolbox.tool(
    title="Compound interest",
    category="math",
    tags=["finance", "interest", "savings", "investment"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="what do 1000 grow to in 10 years at 5 percent interest",
            arguments={"principal": 1000, "annual_rate_percent": 5, "years": 10},
            result={"final_balance": 1628.89, "total_paid_in": 1000, "total_interest": 628.89},
        ),
        toolbox.ToolExample(
            query="saving 200 a month for 20 years at 6% compounded monthly",
            arguments={
                "principal": 0,
                "annual_rate_percent": 6,
                "years": 20,
                "periods_per_year": 12,
                "payment_per_period": 200,
            },
            result={"final_balance": 92408.18, "total_paid_in": 48000, "total_interest": 44408.18},
        ),
    ],
)
def compound_interest(
    principal: Amount,
    annual_rate_percent: AnnualRate,
    years: Annotated[int, Meta(ge=1, le=100)],
    periods_per_year: Annotated[int, Meta(ge=1, le=365)] = 1,
    payment_per_period: Amount = 0,
) -> Savings:
    """Calculate what savings or an investment grow to with compound interest and regular payments.

    Args:
        principal: The money at the start.
        annual_rate_percent: The nominal yearly interest rate in percent: 5 means 5%.
        years: For how many whole years.
        periods_per_year: How often a year interest is added: 1 yearly, 4 quarterly, 12 monthly, 365 daily.
        payment_per_period: What is paid in at the end of each period, besides the principal.
    """
    periods = years * periods_per_year
    rate = to_exact(annual_rate_percent) / 100 / periods_per_year
    growth = _grow(rate, periods)
    payment = to_exact(payment_per_period)
    # n payments of p at the rate r are worth p * ((1 + r)^n - 1) / r at the end (ordinary annuity)
    payments = payment * (growth - 1) / rate if rate else payment * periods
    balance = round_exact(to_exact(principal) * growth + payments, 2)
    paid_in = round_exact(to_exact(principal) + payment * periods, 2)
    return Savings(to_number(balance), to_number(paid_in), to_number(balance - paid_in))


@toolbox.tool(
    title="Loan payment",
    category="math",
    tags=["finance", "loan", "mortgage", "credit", "annuity"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="monthly payment of a 300000 mortgage over 30 years at 6 percent",
            arguments={"principal": 300000, "annual_rate_percent": 6, "months": 360},
            result={"monthly_payment": 1798.65, "total_paid": 647514, "total_interest": 347514},
        ),
        toolbox.ToolExample(
            query="pay back 1200 in a year without interest",
            arguments={"principal": 1200, "annual_rate_percent": 0, "months": 12},
            result={"monthly_payment": 100, "total_paid": 1200, "total_interest": 0},
        ),
    ],
)
def loan_payment(
    principal: Amount, annual_rate_percent: AnnualRate, months: Annotated[int, Meta(ge=1, le=1200)]
) -> Loan:
    """Calculate the monthly payment and the total cost of a loan or mortgage that is paid back in equal payments.

    Args:
        principal: The money that is borrowed.
        annual_rate_percent: The nominal yearly interest rate in percent: 6 means 6%, charged as 0.5% a month.
        months: In how many monthly payments, each at the end of its month.
    """
    borrowed = to_exact(principal)
    rate = to_exact(annual_rate_percent) / 1200
    growth = _grow(rate, months)
    payment = round_exact(borrowed * rate * growth / (growth - 1) if rate else borrowed / months, 2)
    total = payment * months
    return Loan(to_number(payment), to_number(total), to_number(total - round_exact(borrowed, 2)))


def _grow(rate: Fraction, periods: int) -> Fraction:
    """(1 + rate) ** periods, to 60 digits: the exact power would have thousands, a float too few for tiny rates."""
    with localcontext(prec=60):
        return Fraction((1 + Decimal(rate.numerator) / rate.denominator) ** periods)
