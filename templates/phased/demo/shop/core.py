"""All of the shop, in one module that has become too large."""

import re
from decimal import Decimal


def parse_money(text):
    """Return the amount in a text such as "3.50 EUR"."""
    found = re.match(r"(\d+(?:\.\d+)?)", text)
    return Decimal(found.group(1)) if found else Decimal(0)


def format_money(amount):
    """Return an amount as it is shown to people."""
    return f"{amount:.2f} EUR"


def in_stock(stock, name):
    """Return whether there is at least one left."""
    return stock.get(name, 0) > 0


def reserve(stock, name):
    """Take one out of stock; KeyError if there is none."""
    if stock.get(name, 0) < 1:
        raise KeyError(name)
    return {**stock, name: stock[name] - 1}


def total(prices):
    """Return the sum of prices in words."""
    return sum((parse_money(price) for price in prices), Decimal(0))
