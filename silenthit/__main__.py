"""`python -m silenthit`: the command, where no script of it is on the PATH."""

from silenthit.cli import main

main()
