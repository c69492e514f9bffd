"""What is in stock; nothing to find here."""


def count(stock, name):
    return stock.get(name, 0)
