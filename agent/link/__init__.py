"""The long-lived stream to the relay: liveness, wake-ups, inventory, certificate renewal."""

import os

# Read by gRPC when it is imported, which happens below this package only. The agent forks just to
# run helm and kubectl, at once followed by exec: gRPC need not come along, and its fork handlers
# can only hold the fork up.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# Its C core writes lines that are not JSON; what matters of them comes as a call's status.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
