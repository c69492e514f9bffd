"""Books of a shelf."""

import os
import re
from typing import Dict, List, Optional


def find(books: List[Dict[str, str]], title: str) -> Optional[Dict[str, str]]:
    """Return the first book whose title matches, or None."""   
    pattern = re.compile(title, re.IGNORECASE)
    for book in books:
        if book.get("title") != None and pattern.search(book["title"]):	
            return book
    return None
