"""Money is an integer number of fen; a rate is an integer number of basis points (1250 = 12.5 %)."""

import re

MAX_AMOUNT = 10**12
"""Ten billion yuan: far above any price, far below where quantity x price could leave 64 bits."""

_YUAN = re.compile(r"(\d{1,10})(?:\.(\d{1,2}))?")


def parse_yuan(text: str) -> int:
    """Fen of a decimal string in yuan ("49.9" -> 4990), exactly. Raises ValueError with what is wrong."""
    match = _YUAN.fullmatch(text)
    if match is None or not text.isascii():
        raise ValueError("is not an amount in yuan with at most two decimals, like 49.90")
    whole, cents = match.groups()
    return int(whole) * 100 + int((cents or "").ljust(2, "0"))


def parse_signed_yuan(text: str) -> int:
    """As `parse_yuan`, of an amount that may begin with a minus: "-49.9" -> -4990. Raises ValueError likewise."""
    return -parse_yuan(text[1:]) if text.startswith("-") else parse_yuan(text)


def format_yuan(amount: int) -> str:
    """ "49.90" of 4990 fen: what exports and tables show, and what `parse_yuan` reads back."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def format_percent(bps: int) -> str:
    """ "12.5%" of 1250 basis points, "-0.5%" of -50."""
    sign = "-" if bps < 0 else ""
    return sign + f"{abs(bps) // 100}.{abs(bps) % 100:02d}".rstrip("0").rstrip(".") + "%"
