def __getattr__(name):
    # `extra_nb.lab` was a module once: what it held is in `world` now
    if name.startswith("__"): raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.world"), name)
