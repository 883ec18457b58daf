"""Small worlds in memory that the planner acts on: clusters, agents, reports, pacers, faults.

Carrying decisions out is written here a second time, without any of the guards that the SQL has, so
that only the planner stands between a fault and a breach. Every act is watched.

In this order: `fleet`, `state`, `sight` (what the planner is told), `watch`, `operators`,
`carrying_out`, `world` (the network and the pacer); then `scenarios` (what happens), `playing` and
`properties`.
"""
