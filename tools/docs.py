"""Everything nbdev_docs does before quarto draws the pages: runs every import, export and show_doc, and writes _proc/.

A notebook whose pages could not be made fails here, on a machine without quarto. With quarto installed, nbdev_docs does all
of it. Writes only files that git ignores.
"""
import sys
import warnings

from nbdev.config import get_config
from nbdev.doclinks import nbglob
from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml
from nbdev.serve import proc_nbs


def main() -> None:
    config = get_config()
    dotted = [part for part in config.nbs_path.parts if part.startswith(".")]
    # nbdev skips every path with such a part, so it would make nothing and call it a success
    if dotted: sys.exit(f"nbdev makes no pages in a folder whose path has a name that begins with a dot: {dotted[0]}")

    # nbdev only warns where a page will be wrong, as with imports beside other code
    warnings.filterwarnings("error", category=UserWarning, module=r"nbdev\b")
    refresh_quarto_yml()
    nbdev_sidebar.__wrapped__(path=config.nbs_path)
    made = proc_nbs(n_workers=0, force=True)
    pages = nbglob(made, as_path=True)
    wanted = nbglob(config.nbs_path, as_path=True)
    if len(pages) != len(wanted): sys.exit(f"{len(wanted)} notebooks, but {len(pages)} pages in {made.name}/")
    print(f"{len(pages)} pages in {made.name}/, ready for: quarto render {made.name}")


if __name__ == "__main__": main()
