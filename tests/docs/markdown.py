# SPDX-License-Identifier: MIT
"""What of a Markdown file a reader could type or compare."""
import dataclasses
import re

# Words that begin a command line where it stands in running text; alone, they
# are the name of a program.
PROGRAM = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:slm-(?:run|convert|bench|inspect)|cmake|cpack|ctest|"
    r"cc|c\+\+|git|man|docker|python3?|pip|sudo|apt-get|build/\S+|"
    r"venv/\S+|tools/\S+\.(?:sh|py)) .*")
FLAG = re.compile(r"(?<![\w-])(?:--[a-z][\w-]*|-[a-zA-Z](?![\w-]))")
PATH = re.compile(r"(?:\.ci|cmake|loader|ops|quant|runtime|tests|tools)"
                  r"(?:/[\w.-]+)+/?$")
DIRECTIVE = re.compile(r"<!-- (slm-\S+ .*) -->$")


@dataclasses.dataclass
class Piece:
    """kind: "block" with its language, "line" of running text, "table" that a
    <!-- command --> stands over, "flag", "path"."""
    kind: str
    line: int
    text: str
    language: str = ""
    # Of a block: the next piece stands right behind it.
    output: "Piece | None" = None


def spans(text):
    """(offset, text) of inline code, which may run over the end of a line."""
    for match in re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", text, re.S):
        yield match.start(), " ".join(match[2].split())


def of_running_text(text, first):
    for at, code in spans(text):
        line = first + text.count("\n", 0, at)
        if PROGRAM.match(code):
            yield Piece("line", line, code)
        elif code.startswith("-") and FLAG.match(code):
            yield Piece("flag", line, code)
        elif PATH.match(code):
            yield Piece("path", line, code)


def parse(text):
    """Pieces in their order. Lines count from 1."""
    pieces, prose, lines = [], [], text.split("\n")

    def end_prose(until):
        if prose:
            pieces.extend(of_running_text("\n".join(prose),
                                          until - len(prose)))
            prose.clear()
    i, adjacent = 0, None  # adjacent: a block with but blank lines since
    while i < len(lines):
        line = lines[i]
        fence = re.match(r"( *)(```+|~~~+)(.*)$", line)
        directive = DIRECTIVE.match(line)
        if fence:
            end_prose(i + 1)
            end = i + 1
            while end < len(lines) and lines[end].strip() != fence[2]:
                end += 1
            indent = len(fence[1])
            body = "".join(l[indent:] + "\n" for l in lines[i + 1:end])
            block = Piece("block", i + 1, body, fence[3].strip())
            if adjacent and not block.language:
                adjacent.output, adjacent = block, None
            else:
                pieces.append(block)
                adjacent = block
            i = end
        elif directive:
            end_prose(i + 1)
            end = i + 1
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            body = "".join(l + "\n" for l in lines[i + 1:end])
            pieces.append(Piece("table", i + 1, body, directive[1]))
            i, adjacent = end - 1, None
        elif line.startswith(("    ", "\t")) and (
                not prose or not prose[-1].strip()) and not any(
                    re.match(r"\s*([-*]|\d+\.) ", p) for p in prose[-40:]):
            end_prose(i + 1)
            pieces.append(Piece("block", i + 1, line.strip() + "\n",
                                "indented"))
        else:
            prose.append(line)
            if line.strip():
                adjacent = None
        i += 1
    end_prose(len(lines) + 1)
    return pieces


def commands(block):
    """(line, command) of a shell block: continued lines are one, and so is
    what stands up to the end of a here-document."""
    out, lines, i = [], block.text.split("\n"), 0
    while i < len(lines):
        first, command = i, lines[i]
        here = re.search(r"<<-?\s*['\"]?(\w+)", command)
        while command.endswith("\\") or (
                here and lines[i].strip() != here[1]):
            i += 1
            command += "\n" + lines[i]
            here = here or re.search(r"<<-?\s*['\"]?(\w+)", lines[i])
        i += 1
        bare = command.strip()
        if bare and not bare.startswith("#"):
            out.append((block.line + 1 + first, bare))
    return out
