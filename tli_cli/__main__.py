"""Run the command line: `python -m tli_cli`."""

from tli_cli.cli import main

main()
