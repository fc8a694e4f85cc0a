"""`python -m extra_nb`: see nbs/commands/overview.ipynb."""
import sys

from extra_nb.commands.overview import main

sys.exit(main())
