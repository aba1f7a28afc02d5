#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every command line and code block of the repository's Markdown files, run.

Shell lines run as written, in a folder that looks like a clone that has been
built, with small models under the names that the documents use (fixtures.py).
What a plain block behind them shows must be what they print. C and C++ blocks
are compiled and run. A block of another kind is a failure, so that no new one
goes by unexecuted; EXCUSED has what cannot run here, and why.

usage: docs_test.py BUILD SOURCE CMAKE C_COMPILER CXX_COMPILER
                    [--write] [FILE ...]
--write puts what was printed into the documents instead.
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]
import fixtures  # noqa: E402
import markdown  # noqa: E402
from pty_program import Program  # noqa: E402

TIMEOUT = 120  # seconds of a line
PYTORCH = "PyTorch, which is never needed to build, test or use slm"
BY_CI = "tools/dev/test.sh does it, before this test"

# Commands that do not run: expression, reason, and what tools/dev/test.sh says
# in their place, so that CI runs them before it comes to this test.
EXCUSED = [
    (r"tools/dev/setup\.sh", BY_CI, r"^tools/dev/setup\.sh$"),
    (r"cmake --preset release", BY_CI, r'^ *cmake --preset "\$preset"'),
    (r"cmake --build --preset release( --target [\w -]+)?", BY_CI,
     r'^ *cmake --build --preset "\$preset" --target all tests$'),
    (r"tools/dev/test\.sh", "runs this test", r'^ *ctest --preset "\$preset"'),
    (r"tools/dev/test_arm\.sh", "needs root and a cross compiler", ""),
    (r"python3 -m venv venv", PYTORCH, ""),
    (r"venv/bin/pip install .*", PYTORCH, ""),
    (r"venv/bin/python tools/demo/(train|finetune)\.py .*", PYTORCH, ""),
]
# Outputs that are not compared.
UNCOMPARED = [
    (r"work/tea-model", "the adapter comes from training: " + PYTORCH),
]
# Programs that are built only where their library is.
OPTIONAL = re.compile(r"build/release/bin/(kernel|attention)_benchmark")
# Lines whose figures differ from run to run.
VARIES = re.compile(r"slm-bench|slm-convert|--stats|doctor|-o json|_benchmark|"
                    r"machine_limits|cpack|slm-run info|model info")
# Lines that judge figures: that a small model misses them is no fault (10).
JUDGES = re.compile(r"slm-bench .*--(max|min)-|slm-bench gate")
# Spellings that stand for others, or would take too long.
AS = [
    (r"\b(auto-opt|optimize|quantize) \.\.\.", r"\1 -m DIR -o OUT"),
    (r"--extra_options \.\.\.", "--extra_options int4_block_size=16"),
    (r"(?<=slm-inspect )COMMAND(?= --help)", "graph"),
    (r"(?<=slm-bench )VERB\b", "speed"),
    (r"--minutes \S+", "--minutes 0.02"),
    (r"(?<=kernel_benchmark --benchmark_filter=')([^']*/)(?=')",
     r"\g<1>896x4864"),
    (r"(.*_benchmark --benchmark_filter=.*)", r"\1 --benchmark_min_time=0.001"),
]
# At a terminal: what is typed.
CHAT = ["hi\r", "/help\r", "\x04"]
KEYS = [
    (r"(\S*/)?slm-run (-m )?[^\s-]\S*", CHAT),
    (r"(\S*/)?slm-run (model )?run \S+", CHAT),
    (r"(\S*/)?slm-run cache rm \S+", ["y\r"]),
]
VERBS = ("list", "doctor")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]\d+)?")


def same_shape(text):
    """Numbers and the width of columns left away."""
    return re.sub(r"[ \t]+|-{4,}", " ", NUMBER.sub("#", text)).strip()


class Files:
    """Where things are, and what was found out about each piece."""

    def __init__(self, build, source, cmake, c, cxx):
        self.build, self.source = build, source
        self.compilers = {"c": [c, "-std=c99"], "cpp": [cxx, "-std=c++17"]}
        self.cmake = cmake
        self.rows, self.failures = [], []
        self.test_sh = (source / "tools/dev/test.sh").read_text()
        self.help = {}

    def say(self, file, line, result, what, reason=""):
        what = " ".join(what.split())
        self.rows.append((f"{file}:{line}", result, what, reason))

    def fail(self, file, line, message):
        self.failures.append(f"{file}:{line}: {message}")
        self.say(file, line, "FAILED", message.split("\n")[0])

    def flags_of(self, program):
        if program not in self.help:
            text = ""
            for flag in ("--help", "--help-all"):
                text += subprocess.run(
                    [self.build / "bin" / program, flag], timeout=TIMEOUT,
                    capture_output=True, encoding="utf-8").stdout
            for verb in re.findall(rf"(?m)^  {program} (\w+) ", text):
                text += subprocess.run(
                    [self.build / "bin" / program, verb, "--help"],
                    timeout=TIMEOUT, stdin=subprocess.DEVNULL,
                    capture_output=True, encoding="utf-8").stdout
            self.help[program] = set(markdown.FLAG.findall(text))
        return self.help[program]


class Document:
    """One file's pieces, in a scratch folder of its own."""

    def __init__(self, files, name, scratch):
        self.files, self.name, self.at = files, name, scratch
        self.path = files.source / name
        self.pieces = markdown.parse(self.path.read_text(encoding="utf-8"))
        self.seen = ""      # all that was printed
        self.replaced = []  # (piece, new text), for --write
        self.cwd = scratch
        self.lay_out()

    def lay_out(self):
        for path in self.files.source.iterdir():
            if path.name != "build" and not path.name.startswith("."):
                (self.at / path.name).symlink_to(path)
        home = self.at / "home"
        home.mkdir()
        (self.at / "build").mkdir()
        (self.at / "build/release").symlink_to(self.files.build)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("SLM_", "XDG_", "GIT_"))}
        self.env.update(
            HOME=str(home), TERM="xterm", NO_COLOR="1",
            PATH=f"{self.files.build}/bin:{home}/.local/bin:"
                 f"{os.path.dirname(self.files.cmake)}:{os.environ['PATH']}")
        for words in (["init", "-q"], ["add", "LICENSE"],
                      ["-c", "user.name=x", "-c", "user.email=x", "commit",
                       "-qm", "x"]):
            subprocess.run(["git", *words], cwd=self.at, env=self.env,
                           check=True)
        (self.at / "LICENSE").unlink()
        (self.at / "LICENSE").write_text("Another license.\n")

    def fixture(self, word):
        """Makes what the document calls `word`, if it is known and absent."""
        folder = os.path.dirname(self.name)
        maker = next((fixtures.FIXTURES[key] for key in (
            f"{folder}/{word}", word, os.path.splitext(word)[1])
            if key in fixtures.FIXTURES), None)
        path = self.at / word
        if not maker or path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if maker is fixtures.long_model:
            maker(path, self.at, lambda a, b: subprocess.run(
                [self.files.build / "bin/slm-convert", "-q", a, b],
                check=True, timeout=TIMEOUT))
        else:
            maker(path, self.at)

    def prepare(self, command):
        """Inputs are there, and a conversion's output is not."""
        output = re.search(r"slm-convert (?:\S+ )*(?:-o|--output_path) (\S+)",
                           command) or \
            re.search(r"slm-convert (?!check|run\b)(?!-)\S+ ([^-\s]\S*)",
                      command)
        output = output and output[1]
        if output:
            shutil.rmtree(self.at / output, ignore_errors=True)
        for word in re.findall(r"[\w./-]+", command):
            if word != output:
                self.fixture(word)

    def run(self, line, command):
        """Standard output of a command; None if it failed."""
        for expression, keys in KEYS:
            if re.fullmatch(expression, command) and \
                    command.split()[-1] not in VERBS:
                return self.at_terminal(line, command, keys)
        state = self.at / "home/state"
        state.unlink(missing_ok=True)
        # What it exports and where it goes counts for the next one.
        script = f"{command}\ncode=$?\n(pwd; env -0) >{state}\nexit $code"
        done = subprocess.run(["bash", "-c", script], cwd=self.cwd,
                              env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, encoding="utf-8",
                              errors="replace", timeout=TIMEOUT)
        if state.exists():
            self.cwd, _, exported = state.read_text().partition("\n")
            self.env = dict(v.split("=", 1) for v in exported.split("\0")
                            if "=" in v)
        self.seen += done.stdout + done.stderr
        if done.returncode == 6 and "SLM_TARGET=" in command:
            return ""  # this machine has no such target
        if done.returncode == 10 and JUDGES.match(command):
            return done.stdout
        if done.returncode:
            self.files.fail(self.name, line, f"{command}\nexit code "
                            f"{done.returncode}: {done.stderr[-500:]}")
            return None
        return done.stdout

    def at_terminal(self, line, command, keys):
        words = shlex.split(command)
        words[0] = shutil.which(words[0], path=self.env["PATH"]) or \
            str(self.at / words[0])
        with Program(*words, env=self.env, cwd=str(self.cwd)) as program:
            for key in keys:
                if keys is CHAT:
                    program.expect("\x1b[?2004h")
                else:
                    program.expect("[y/N]")
                program.send(key)
            code = program.exit_code()
            self.seen += program.plain().replace("\r\n", "\n")
        if code:
            self.files.fail(self.name, line, f"{command}\nexit code {code}: "
                            + program.plain()[-500:])
            return None
        return ""

    def forms(self, command):
        """The command as it is run; both forms of one with [WORD] in it."""
        for expression, spelling in AS:
            command = re.sub(expression, spelling, command)
        optional = re.compile(r" ?\[([A-Z-][^\]]*)\]")
        if not optional.search(command):
            return [command]
        return [optional.sub("", command), optional.sub(r" \1", command)]

    def excused(self, command):
        for expression, reason, by in EXCUSED:
            if re.fullmatch(expression, command):
                if by and not re.search(by, self.files.test_sh, re.M):
                    self.files.fail(self.name, 0, f"tools/dev/test.sh does "
                                    f"not run what stands for {command}")
                return reason
        if OPTIONAL.match(command) and not (
                self.at / command.split()[0]).exists():
            return "not built: google-benchmark is not installed"
        return None

    def shell(self, line, command):
        """(what it prints, ran at all) of a command, without what is
        excused."""
        bare = re.sub(r"\s+#(?: .*)?$", "", command)
        parts = [p.strip() for p in re.split(r"\s&&\s", bare)]
        left = []
        for part in parts:
            reason = self.excused(part)
            if reason:
                self.files.say(self.name, line, "excused", part, reason)
            else:
                left.append(part)
        out = ""
        for form in self.forms(" && ".join(left)) if left else []:
            self.prepare(form)
            printed = self.run(line, form)
            if printed is None:
                return None, True
            out += printed
            self.files.say(self.name, line, "ran", form)
        also = re.search(r"\s# also: ([^;]+)", command)
        for other in also[1].split(", ") if also else []:
            self.shell(line, f"{bare.split()[0]} {other}")
        return out, bool(left)

    def compare(self, block, expected, commands, printed):
        for expression, reason in UNCOMPARED:
            if any(re.search(expression, c) for c in commands):
                self.files.say(self.name, expected.line, "excused",
                               expected.text, reason)
                return
        if printed == expected.text:
            self.files.say(self.name, expected.line, "compared", expected.text)
        elif any(VARIES.search(c) for c in commands) and \
                same_shape(expected.text) in same_shape(self.seen):
            self.files.say(self.name, expected.line,
                           "compared without its numbers", expected.text)
        else:
            self.replaced.append((expected, printed))
            self.files.fail(self.name, expected.line,
                            f"the block says\n{expected.text}but its command "
                            f"prints\n{printed}")

    def shell_block(self, block):
        printed, any_ran, lines = "", False, markdown.commands(block)
        for line, command in lines:
            out, ran = self.shell(line, command)
            if out is None:
                return
            printed += out
            any_ran |= ran
        if block.output and any_ran:
            self.compare(block, block.output, [c for _, c in lines], printed)
        elif block.output:
            self.files.fail(self.name, block.output.line,
                            "output of commands that never ran")

    def program_block(self, block):
        file = self.at / f"block{block.line}.{block.language}"
        file.write_text(block.text)
        program = file.with_suffix("")
        cxx = self.files.compilers["cpp"][0]
        compiler = self.files.compilers[block.language]
        for command in (
                [*compiler, "-Wall", "-Wextra", "-Werror", "-c", file, "-o",
                 file.with_suffix(".o"), "-I",
                 self.files.source / "runtime/include"],
                [cxx, file.with_suffix(".o"), "-o", program,
                 self.files.build / "libslm.a", "-pthread"],
                [program]):
            done = subprocess.run(command, cwd=self.at, env=self.env,
                                  stdin=subprocess.DEVNULL, timeout=TIMEOUT,
                                  capture_output=True, encoding="utf-8")
            if done.returncode or (command[0] == program and not done.stdout):
                self.files.fail(self.name, block.line,
                                f"{command[0]}: exit code {done.returncode}, "
                                f"{done.stderr}")
                return
        self.files.say(self.name, block.line, "compiled, ran",
                       f"a program in {block.language}")
        if block.output:
            self.compare(block, block.output, [], done.stdout)

    def plain_block(self, block):
        """A drawing, or a sample of what the file's lines print."""
        if "-->" in block.text:
            self.files.say(self.name, block.line, "excused", block.text,
                           "a drawing")
        elif same_shape(block.text) in same_shape(self.seen):
            self.files.say(self.name, block.line,
                           "compared without its numbers", block.text)
        else:
            self.files.fail(self.name, block.line, "no command before it has "
                            f"printed anything like\n{block.text}")

    def table(self, piece):
        printed, _ = self.shell(piece.line, piece.language)
        if printed is None:
            return
        if printed == piece.text:
            self.files.say(self.name, piece.line + 1, "compared", "the table")
        else:
            self.replaced.append((piece, printed))
            self.files.fail(self.name, piece.line + 1, "the table is not what "
                            + piece.language + " prints; --write mends it")

    def flag(self, piece):
        """In a tool's file a flag is the tool's; elsewhere anybody's."""
        folder = pathlib.PurePath(self.name).parts
        tools = ["run", "convert", "bench", "inspect"]
        if len(folder) == 3 and folder[1] in tools:
            tools = [folder[1]]
        known = set()
        for tool in tools:
            known |= self.files.flags_of(f"slm-{tool}")
        for flag in markdown.FLAG.findall(piece.text):
            if flag not in known:
                self.files.fail(self.name, piece.line,
                                f"no --help of {', '.join(tools)} has {flag}")

    def check(self):
        kinds = {"sh": self.shell_block, "c": self.program_block,
                 "cpp": self.program_block, "": self.plain_block}
        for piece in self.pieces:
            if piece.kind == "line":
                self.shell(piece.line, piece.text)
            elif piece.kind == "table":
                self.table(piece)
            elif piece.kind == "flag":
                self.flag(piece)
            elif piece.kind == "path":
                if not (self.files.source / piece.text).exists():
                    self.files.fail(self.name, piece.line,
                                    f"there is no {piece.text}")
            elif piece.language in kinds:
                kinds[piece.language](piece)
            else:
                self.files.fail(self.name, piece.line, "this test does not "
                                f"know blocks of kind {piece.language!r}")

    def write(self):
        lines = self.path.read_text(encoding="utf-8").split("\n")
        for piece, new in sorted(self.replaced, key=lambda r: -r[0].line):
            first = piece.line
            lines[first:first + piece.text.count("\n")] = \
                new.rstrip("\n").split("\n")
        self.path.write_text("\n".join(lines), encoding="utf-8")


def documents(source):
    for at, folders, names in os.walk(source):
        folders[:] = sorted(f for f in folders
                            if not f.startswith(".") and f != "build")
        for name in sorted(names):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(at, name), source)


def what_ci_runs(files):
    """The documents' test command is what CI runs."""
    ci = (files.source / ".ci/run").read_text()
    if not re.search(r"^exec tools/dev/test\.sh\b.*\brelease\b", ci, re.M):
        files.fail(".ci/run", 0, "does not run tools/dev/test.sh")


# Documents that are wrong, and what must be said of them.
WRONG = [
    ("```js\nlet a\n```\n", "does not know blocks of kind 'js'"),
    ("text\n\n    slm-run MODEL\n", "kind 'indented'"),
    ("```sh\nslm-run MODEL --nonsense hi\n```\n", "exit code 2"),
    ("```sh\nslm-run no-such-model hi\n```\n", "exit code 3"),
    ("```sh\necho a\n```\n```\nb\n```\n", "prints\na\n"),
    ("```sh\ntools/dev/test.sh\n```\n```\nb\n```\n", "never ran"),
    ("```\nslm-run MODEL\n```\n", "no command before it"),
    ("try `slm-run info nothing` now", "exit code 3"),
    ("with `--nonsense`", "has --nonsense"),
    ("see `tools/run/nothing.cc`", "there is no tools/run/nothing.cc"),
    ("```c\nint main(void) { return x; }\n```\n", "exit code 1"),
    ("<!-- slm-inspect ops --markdown -->\n| a |\n|---|\n", "the table"),
]


def finds_what_is_wrong(build, source, compilers):
    """This test fails where it should."""
    for text, expected in WRONG:
        with tempfile.TemporaryDirectory(prefix="slm-docs-") as folder:
            at = pathlib.Path(folder)
            (at / "wrong.md").write_text(text)
            (at / "scratch").mkdir()
            files = Files(build, source, *compilers)
            Document(files, str(at / "wrong.md"), at / "scratch").check()
            if len(files.failures) != 1 or expected not in files.failures[0]:
                sys.exit(f"{text!r} must fail with {expected!r}, there is "
                         f"{files.failures}")


def main(argv):
    write = "--write" in argv
    argv = [a for a in argv if a != "--write"]
    build, source = (pathlib.Path(p).resolve() for p in argv[1:3])
    files = Files(build, source, *argv[3:6])
    what_ci_runs(files)
    if not write:
        finds_what_is_wrong(build, source, argv[3:6])
    for name in argv[6:] or documents(source):
        with tempfile.TemporaryDirectory(prefix="slm-docs-") as scratch:
            document = Document(files, name, pathlib.Path(scratch))
            document.check()
            if write:
                document.write()
    for place, result, what, reason in files.rows:
        print(f"{place:27} {result:9} {what[:80]}",
              f"({reason})" if reason else "")
    print(*files.failures, sep="\n\n", file=sys.stderr)
    return 1 if files.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
