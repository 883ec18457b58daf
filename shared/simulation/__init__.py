"""A rollout in virtual time: the planner that production runs, over clusters that are only told of.

Read in this order: `fleet` (what is simulated), `draws` (what chance decides, by a seed), `state`
(one rollout's targets and counters), `acts` (decisions carried out), `run` (the passing of time),
`record` (what is kept of it). It does no I/O and knows no clock: the same shape, strategy and seed
give the same answer anywhere. What it leaves out is said with each answer, not guessed.
"""
