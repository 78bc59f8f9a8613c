#!/usr/bin/env python3
"""What the documents name exists: relative links, and paths of the project in `code` (a name without extension may be that
of a .h, .cc, .sh or .py file), and commands: `weir WORD…` in code, and lines of code blocks that begin with weir. Paths
with <placeholders> are left alone.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import project_files  # noqa: E402

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\s]+)`")
FOLDERS = ("common/", "producer/", "worker/", "tests/", "bench/", "proto/", "docs/", "cmake/", "tools/", "helm/", ".ci/")
EXTENSIONS = ("", ".h", ".cc", ".sh", ".py")
BLOCK = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
# `weir jobs list …` in prose, and the same at the beginning of a line of a code block.
SPOKEN = re.compile(r"`weir\s+([^`]+)`")
TYPED = re.compile(r"^ *weir +(.+)", re.MULTILINE)
# Where the sources tell the command line of its commands: add("jobs list", "summary", … and {"broker", "summary", "weir …
COMMAND_SOURCES = ("producer/cli/commands.cc", "producer/sync/actions.cc")
COMMAND = re.compile(r'(?:add\(|\{)"([a-z]+(?: [a-z]+)?)",\s+"[^"]*",\s+"weir ')


def commands_of(sources):
    """All commands, "jobs list", that the texts of these sources declare."""
    return {name for text in sources for name in COMMAND.findall(text)}


def unknown_command(words, commands):
    """The command that `weir WORDS` asks for in vain, or None. A group alone may be spoken of."""
    words = [word for word in re.split(r"\s+", words.strip()) if word][:2]
    if not words or not re.fullmatch(r"[a-z]+", words[0]) or words[0] in commands:
        return None
    group = {command.split()[1] for command in commands if command.startswith(words[0] + " ")}
    if group and (len(words) == 1 or words[1] in group or not re.match(r"[a-z]", words[1])):
        return None
    return " ".join(words) if group else words[0]


def check_commands(path, text, commands):
    """Findings for the commands that one Markdown file names."""
    asked = SPOKEN.findall(BLOCK.sub("", text))
    for block in BLOCK.findall(text):
        asked += TYPED.findall(block)
    unknown = [unknown_command(words, commands) for words in asked]
    return [f"{path}: there is no command weir {name}" for name in unknown if name]


def check(files, exists, commands):
    """Findings for {path: text} of Markdown files; `exists(path)` = there is such a file or folder."""
    findings = [] if commands else ["found no commands in " + ", ".join(COMMAND_SOURCES)]
    for path, text in sorted(files.items()):
        findings += check_commands(path, text, commands)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        for link in LINK.findall(prose):
            target = os.path.normpath(os.path.join(os.path.dirname(path), link))
            if "://" not in link and not exists(target):
                findings.append(f"{path}: the link {link} leads nowhere")
        for name in CODE.findall(prose):
            if not name.startswith(FOLDERS) or re.search(r"[<>*{}]", name):
                continue
            if not any(exists(name.rstrip("/") + extension) for extension in EXTENSIONS):
                findings.append(f"{path}: there is no {name}")
    return findings


def main():
    files = project_files.read("*.md")
    commands = commands_of(project_files.read(*COMMAND_SOURCES).values())
    findings = check(files, lambda path: os.path.exists(os.path.join(project_files.ROOT, path)), commands)
    for finding in findings:
        print(finding)
    print(f"docs: {len(files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
