def __getattr__(name):
    # `extra_nb.bench` was a module once: what it held is in `verifier` now
    if name.startswith("__"): raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.verifier"), name)
