"""Which books are lent, and to which person."""

import datetime
import json


def overdue(loans, today=None):
    if today == None:
        today = datetime.date.today()
    return [loan for loan in loans if loan["due"] < today]  


def save(loans, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump([{**loan, "due": str(loan["due"])} for loan in loans], file)
