"""How many tokens a text has, and how each agent counts them."""
