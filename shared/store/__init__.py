"""PostgreSQL, the only durable truth: pool, transactions, named queries, migrations.

The only package that imports psycopg. It holds no rule of the domain: services decide, this runs.
"""
