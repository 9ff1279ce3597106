"""Money in currencies: which there are, and what an SU costs in them from a date on.

An amount is an integer number of millionths of the currency's unit; people read and write it as a decimal text.
"""

from dataclasses import dataclass

from domain.errors import Invalid
from domain.quantities import AMOUNT, MICRO, parse_su

# ISO 4217, what is used as money (no metals, funds or test codes).
CURRENCIES = frozenset(
    code
    for line in (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF",
        "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG",
        "HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA",
        "MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD",
        "RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX",
        "USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL",
    )
    for code in line.split()
)

MONEY_MOST = 10**11 * MICRO  # of one grant: some 25 million US dollars in riel, 92 of which fit into a book
PRICE_MOST = 10**9 * MICRO


@dataclass(frozen=True, slots=True)
class Price:
    """What one SU costs tenants of a kind from a date on, in millionths of the currency; without a kind, all others."""

    currency: str
    tenant_kind: str | None
    from_ms: int
    amount: int
    user_id: int = 0
    reason: str = ""
    created_ms: int = 0


def check_currency(code: str, field: str) -> str:
    """Raises Invalid for what is no currency."""
    if code not in CURRENCIES:
        raise Invalid(f"{code[:40]!r} is no currency", field, fix="write its ISO 4217 code in capitals, such as USD")
    return code


def parse_money(text: str, field: str) -> int:
    """An amount of money such as ``1500`` or ``0.25``, in millionths. Six decimals at the most."""
    try:
        return parse_su(text, field)
    except Invalid:
        raise Invalid(
            f"{text[:40]!r} is no amount of money", field, fix=f'write it as "1500" or "0.25": {AMOUNT}'
        ) from None
