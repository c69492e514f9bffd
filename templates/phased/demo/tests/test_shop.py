"""What must stay as it is."""

import unittest
from decimal import Decimal

from shop import cli, report
from shop.core import parse_money, reserve, total


class Shop(unittest.TestCase):
    def test_money(self):
        self.assertEqual(parse_money("3.50 EUR"), Decimal("3.50"))
        self.assertEqual(total(["1 EUR", "2.50 EUR"]), Decimal("3.50"))

    def test_stock(self):
        self.assertEqual(reserve({"tea": 1}, "tea"), {"tea": 0})
        with self.assertRaises(KeyError):
            reserve({}, "tea")

    def test_what_is_printed(self):
        self.assertEqual(cli.receipt(["1 EUR"]), "1 EUR\ntotal: 1.00 EUR")
        self.assertEqual(report.sold_out({"tea": 0, "jam": 2}), ["tea"])
        self.assertEqual(report.takings([1, 2]), "3.00 EUR")
