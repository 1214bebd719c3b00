"""Build the documentation site, offline: ``make docs``.

The site's source is a copy of the documents, the notebooks and the generated pages in
``build/docs/source``, in the same places as in the repository, so that a relative link leads to the
same thing on both. Every warning is an error: a link or an anchor that leads nowhere fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))

#: The pages of the site, in the order of its menu.
MENU = {
    "Start": (
        "docs/workshop",
        "docs/server-room",
        "docs/trainer",
        "docs/architecture",
        "docs/lab",
        "SECURITY",
    ),
    "The course": tuple(f"notebooks/{p.stem}" for p in sorted(ROOT.glob("notebooks/*.ipynb"))),
    "Use it": (
        "docs/analysis",
        "docs/diagram",
        "docs/detection",
        "docs/your-own-cluster",
        "docs/ci",
        "docs/formats",
        "docs/api",
        "docs/troubleshooting",
    ),
    "What is in it": (
        "docs/techniques/index",
        "docs/controls/index",
        "docs/matrix",
        "docs/reference/index",
    ),
    "The project": ("CONTRIBUTING", "CHANGELOG"),
}
#: Where the site has more to say than the folder that a link names in the repository.
INSTEAD_OF_FOLDERS = {
    "labkit/techniques": "docs/techniques/index.md",
    "labkit/controls": "docs/controls/index.md",
    "README.md": "index.md",
}
#: The page of the matrix has this name already, so the interactive table gets another one.
TABLE = "matrix-table.html"
COVER = f"""# The truth matrix

```{{image}} matrix.png
:alt: Every technique tried in every cluster, as a small picture
:target: {TABLE}
:width: 240px
```

<a href="{TABLE}">The same as a table with filters</a>, which needs no network.

"""
#: On a page of source code, the link back leads to a wrong anchor if the module's names are offered
#: by several modules: viewcode keeps one of them.
BACK_LINK = re.compile(r'<a class="viewcode-back"[^>]*>.*?</a>')
LINK = re.compile(r"\[([^\]\[]+)\]\(([^)\s]+)\)")


def lay_out(source: Path) -> None:
    """Copy what the site is made of to a folder, and generate the rest there.

    Parameters
    ----------
    source : Path
        The folder; what was there is removed.
    """
    from pages import write_pages

    from labkit.detection import Detection
    from labkit.matrix import Matrix

    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for folder in ("docs", "notebooks"):
        shutil.copytree(
            ROOT / folder,
            source / folder,
            ignore=shutil.ignore_patterns("*.py", "__pycache__", ".ipynb_checkpoints"),
        )
    for document in (*ROOT.glob("*.md"), ROOT / "LICENSE"):
        shutil.copy(document, source / document.name)
    stored = sorted((ROOT / "docs").glob("detection-*.json"), reverse=True)
    detection = Detection(cell for file in stored for cell in Detection.read(file).cells)
    write_pages(source / "docs", Matrix.read(ROOT / "docs" / "matrix.json"), detection)
    matrix = source / "docs" / "matrix.md"
    matrix.write_text(COVER + matrix.read_text())
    (source / "README.md").rename(source / "index.md")
    for document in source.rglob("*.md"):
        document.write_text(_links_of_the_site(document, source))
    with (source / "index.md").open("a") as index:
        for title, pages in MENU.items():
            index.write(f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n")
            index.write("\n".join(pages) + "\n```\n")


def _links_of_the_site(document: Path, source: Path) -> str:
    """Return a document's text with the links that hold on the site only."""
    folder = document.parent.relative_to(source)

    def changed(found: re.Match[str]) -> str:
        label, target = found.groups()
        path = urlsplit(target).path
        if urlsplit(target).scheme or not path:
            return found[0]
        named = os.path.normpath(folder / path)
        if named in INSTEAD_OF_FOLDERS:
            return f"[{label}]({os.path.relpath(INSTEAD_OF_FOLDERS[named], folder)})"
        # a folder, or a file that is not part of the site: its name, and no link
        in_repository = (ROOT / named).exists()
        return label if in_repository and not (source / named).is_file() else found[0]

    return LINK.sub(changed, document.read_text())


def main(arguments: list[str] | None = None) -> int:
    """Build the site, and return Sphinx's exit status."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "docs")
    parser.add_argument("--output", type=Path, default=ROOT / "site")
    chosen = parser.parse_args(arguments)
    source, pages = chosen.work / "source", chosen.work / "html"
    lay_out(source)
    shutil.rmtree(pages, ignore_errors=True)
    from sphinx.cmd.build import main as sphinx

    options = ["-q", "-W", "--keep-going", "-j", "auto", "-b", "html", "-c", str(ROOT / "docs")]
    status = sphinx([*options, "-d", str(chosen.work / "cache"), str(source), str(pages)])
    if status == 0:
        for code in (pages / "_modules").rglob("*.html"):
            code.write_text(BACK_LINK.sub("", code.read_text()))
        shutil.copy(ROOT / "docs" / "matrix.html", pages / "docs" / TABLE)
        shutil.rmtree(chosen.output, ignore_errors=True)
        shutil.copytree(pages, chosen.output)
    return status


if __name__ == "__main__":
    sys.exit(main())
