"""What to do next in a rollout: a pure function of what is known and of the time.

`plan.plan(view, now)` is the entry. Read in this order: `view` (what it is told), `decisions` (what
it may answer), `limits`, `targets`, `gates`, `windows`, `pacing`, `adaptive`, `waiting`, `plan`.
`lacks`, `target_waiting` and `blast` decide nothing: they say what is waited for and what is at
risk. Nothing here does I/O or reads a clock. The view is bounded: counters stand for targets that
are done, so a look at a rollout of ten thousand clusters costs no more when nine thousand are
behind it.
"""
