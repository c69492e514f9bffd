"""What the till prints."""

from shop.core import format_money, total


def receipt(prices):
    return "\n".join([*prices, "total: " + format_money(total(prices))])
