"""Write every page anew, and remove those that nothing makes any more."""

from pathlib import Path

from tools.reference.pages import MADE, pages

FOLDER = Path(__file__).parents[2] / "docs/reference"


def main() -> None:
    """Write the pages."""
    made = pages()
    for name, text in made.items():
        page = FOLDER / name
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, "utf-8")
    for page in sorted(FOLDER.rglob("*.md")):
        if MADE in page.read_text("utf-8") and str(page.relative_to(FOLDER)) not in made:
            page.unlink()


if __name__ == "__main__":
    main()
