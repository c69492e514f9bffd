"""What the owner reads in the evening."""

from shop.core import format_money, in_stock


def sold_out(stock):
    return [name for name in stock if not in_stock(stock, name)]


def takings(amounts):
    return format_money(sum(amounts))
