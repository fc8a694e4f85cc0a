"""Write README.md from nbs/index.ipynb, without quarto. With --check: write nothing, exit 1 if README.md differs.

nbdev makes its README with the quarto binary, which pip cannot install. What an index needs is little: text, code that is
shown, results that are text, and figures, which are written to nbs/images. Directives, hidden cells and code that is not echoed
go, links are turned to the root, callouts become GitHub's.
"""
import argparse
import base64
import difflib
import json
import posixpath
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- Made from nbs/index.ipynb by tools/readme.py: change it there. -->"
HIDDEN = re.compile(r"^#\|\s*(hide\b|default_exp\b|export|include:\s*false)|nbdev_export\(\)", re.MULTILINE)
SILENT = re.compile(r"^#\|\s*echo:\s*false", re.MULTILINE)
DIRECTIVE = re.compile(r"^#\|.*\n?", re.MULTILINE)
FENCED = re.compile(r"(^```.*?^```[^\S\n]*$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)\s]+)")
CALLOUT = re.compile(r"^:::+ *\{\.callout-(\w+)[^}]*\}\n(.*?)\n:::+ *$", re.MULTILINE | re.DOTALL)


def alert(match: re.Match) -> str:
    "Quarto's callout as a GitHub alert."
    lines = [f"[!{match[1].upper()}]", *match[2].strip().splitlines()]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def markdown(source: str) -> str:
    "A markdown cell as GitHub shows it; code blocks are left as they are."
    def prose(text: str) -> str:
        return LINK.sub(lambda m: m[1] + posixpath.normpath("nbs/" + m[2]), CALLOUT.sub(alert, text))

    return "".join(part if part.startswith("```") else prose(part) for part in FENCED.split(source))


def result(output: dict, images: dict[str, bytes]) -> str:
    "One stored output of a code cell; a figure is added to `images`, path -> bytes."
    if output["output_type"] == "stream": return f"```text\n{''.join(output['text']).rstrip()}\n```"
    data = output.get("data", {})
    if "image/png" in data:
        path = f"nbs/images/readme-{len(images) + 1}.png"
        images[path] = base64.b64decode("".join(data["image/png"]))
        return f"![]({path})"
    if "text/markdown" in data: return "".join(data["text/markdown"]).rstrip()
    if set(data) == {"text/plain"}: return f"```text\n{''.join(data['text/plain']).rstrip()}\n```"
    sys.exit(f"nbs/index.ipynb: an output of {output['output_type']} with {sorted(data)} has no place in README.md; show text, markdown or a figure")


def readme(notebook: dict) -> tuple[str, dict[str, bytes]]:
    "README.md for the notebook `index`, and its figures: path -> bytes."
    blocks, images = [], {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown": blocks.append(markdown(source))
        elif cell["cell_type"] == "code" and source.strip() and not HIDDEN.search(source):
            if not SILENT.search(source): blocks.append(f"```python\n{DIRECTIVE.sub('', source).strip()}\n```")
            blocks += [result(output, images) for output in cell["outputs"]]
    return "\n\n".join([MARK, *(block.strip("\n") for block in blocks)]) + "\n", images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if README.md is not what the notebook says")
    args = parser.parse_args()

    made, images = readme(json.loads((ROOT / "nbs" / "index.ipynb").read_text(encoding="utf-8")))
    path = ROOT / "README.md"
    if not args.check:
        path.write_text(made, encoding="utf-8")
        for name, content in images.items():
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_bytes(content)
    elif (now := path.read_text(encoding="utf-8") if path.exists() else "") != made:
        difference = difflib.unified_diff(now.splitlines(), made.splitlines(), "README.md", "nbs/index.ipynb", n=0, lineterm="")
        sys.exit("README.md is not what nbs/index.ipynb says; run: python tools/readme.py\n" + "\n".join(list(difference)[:20]))
    for name, content in images.items():
        if not (ROOT / name).exists() or (ROOT / name).read_bytes() != content:
            sys.exit(f"{name} is not the figure of nbs/index.ipynb; run: python tools/readme.py")
    print(f"README.md is what nbs/index.ipynb says ({len(made.splitlines())} lines)")


if __name__ == "__main__": main()
