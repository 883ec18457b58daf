"""The attack table, played against a running system: `make attack`.

One module per entry point of the table, one function per row. What each of them tries, what must
happen and what was seen is printed, and the same functions run as tests. The system is the one that
`make up` starts: the Functions app, the relay, agents on simulated clusters, PostgreSQL and Redis.
"""
