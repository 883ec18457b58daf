"""A fleet on one machine: some thousand agents that are real to the control plane.

Each one registers with a token and a certificate request, holds an mTLS stream to the relay,
fetches its desired document and reports status, all with the agent's own code for these; only what
it does in its cluster is made up: how long things take and whether they fail, by a scenario and a
seed. The control plane is the development stack with real PostgreSQL and Redis.

It shows how a rollout over a fleet behaves, and checks it: what must hold is computed from what the
database says of each target and from what each agent saw. It does not measure a production system:
everything shares one machine.
"""
