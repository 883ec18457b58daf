"""One module per noun; each offers a Typer app, or registers commands on the top one."""
