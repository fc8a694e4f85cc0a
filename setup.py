"""Packaging, read from settings.ini so that name, version, requirements, extras and commands are written down once."""
import configparser
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
parser = configparser.ConfigParser(delimiters=["="])
parser.read(root / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
EXTRA = "_requirements"
extras = {key[: -len(EXTRA)].replace("_", "-"): cfg[key].split() for key in cfg if key.endswith(EXTRA)}
readme = root / "README.md"

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else cfg["description"],
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    license="Apache-2.0",
    keywords=cfg["keywords"],
    url=cfg["git_url"],
    packages=find_packages(include=[cfg["lib_path"], cfg["lib_path"] + ".*"]),
    include_package_data=True,
    python_requires=">=" + cfg["min_python"],
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={
        "console_scripts": [line.strip() for line in cfg["console_scripts"].splitlines() if line.strip()],
        "nbdev": [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"],
    },
    classifiers=["Intended Audience :: " + cfg["audience"], "Programming Language :: Python :: 3"],
    zip_safe=False,
)
