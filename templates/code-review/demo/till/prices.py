"""Prices of a till, with mistakes in them."""

import subprocess


def add(price, prices=[]):
    prices.append(price)
    return prices


def cheapest(prices):
    try:
        return min(prices)
    except:
        return None


def known(price):
    return price != None  # noqa: E711 - arrays of prices, on purpose


def show(name):
    # TODO: other printers
    subprocess.run("lp " + name, shell=True)


HELP = """\
# TODO is what a line of the list begins with
"""
