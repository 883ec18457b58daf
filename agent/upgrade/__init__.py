"""The agent's own upgrade: a Job carries it out, because the agent that begins it does not see its
end. The Job runs the image that works now, and takes the old release back when no new agent shows
itself connected in time."""
