"""`from extra_nb.all import *`: the names that a notebook needs most, see `extra_nb/__init__.py`."""
import extra_nb

__all__ = list(extra_nb._NAMES)
globals().update({name: getattr(extra_nb, name) for name in __all__})
