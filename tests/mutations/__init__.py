"""Valid requests, spoilt by a seed: `make mutations`.

What is right for each route is changed in its path, query, headers, structure, encoding, size and
numbers, and sent. Nothing may answer 5xx, and the host may not grow. The same seed gives the same
requests.
"""
