"""The command line: `arcbridge --help`. Heavy imports wait until a command needs them."""
