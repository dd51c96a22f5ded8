#!/usr/bin/env python3
"""Writes the files of templates/ into Sources/wiz/Scaffold/EmbeddedTemplates.swift, so that `wiz` is one file.

embed-templates.py          writes it
embed-templates.py --check  fails when it is not what templates/ says
"""
import pathlib
import sys

root = pathlib.Path(__file__).resolve().parent.parent
target = root / "Sources/wiz/Scaffold/EmbeddedTemplates.swift"
summaries = {
    "service": ("A service of one method.", "a service with a typed method: the smallest useful plugin"),
    "llm": ("A language model.", "a language model that streams its answer and is found by capability"),
    "ui-theme": ("A theme for the user interface.", "a theme that follows the service ui"),
}
skipped = {".build", ".swiftpm", ".wiz", "data", "run", "Package.resolved"}


def literal(text):
    lines = text.split("\n")
    assert lines[-1] == "" and '"""#' not in text and "\\#" not in text, "a template file ends with one line feed"
    body = "\n".join(("                " + line).rstrip() for line in lines[:-1])
    return '#"""\n' + body + '\n\n                """#'


def swift():
    out = [
        "// Made by Scripts/embed-templates.py of the files in templates/: change those, and run it.",
        "// swift-format-ignore-file",
        "",
        "extension Template {",
        "    /// Every template, the first one being the default.",
        "    static let all: [Template] = [",
    ]
    for name, (description, summary) in summaries.items():
        out += [
            "        Template(",
            f'            name: "{name}",',
            f'            description: "{description}",',
            f'            summary: "{summary}",',
            "            files: [",
        ]
        folder = root / "templates" / name
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            if path.is_file() and not skipped & set(relative.parts):
                out.append(f'                File("{relative}", {literal(path.read_text())}),')
        out += ["            ]", "        ),"]
    return "\n".join(out + ["    ]", "}", ""])


made = swift()
if "--check" in sys.argv:
    if not target.exists() or target.read_text() != made:
        sys.exit(f"{target.relative_to(root)} is not what templates/ says: run Scripts/embed-templates.py")
else:
    target.write_text(made)
assert made.count("\n") < 500, "too long for one file: split it by template"
