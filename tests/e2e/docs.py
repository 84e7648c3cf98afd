"""What README.md and docs/ tell people to type, read and taken apart, for test_docs.py.

A document's commands are in code blocks (four spaces, or a fence of sh), in inline code that begins with grf-rsp, make or go tool
pprof, and in YAML's `command: [...]`. Of a block's parts (blank lines divide them) that begin with "$ ", these lines are commands and the rest is
what they print. A part whose first word is a program's is commands line by line. Every other part has to be something that
grf-rsp prints (PRINTED); what is neither fails the test.
"""

import functools
import glob
import os
import re
import shlex
import subprocess
from dataclasses import dataclass, field

from lib import *

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "tests/README.md", *sorted(os.path.relpath(p, TOP) for p in glob.glob(f"{TOP}/docs/*.md"))]

# What is no command: what grf-rsp prints, paths of profiles, pictures.
PRINTED = r"""process  |suspects$|memory  |detail  |growth  |totals: |live \d|keeps +who|grf-rsp: \d|main\.(tree|cache);|m\. \(HashTrieMap\)|
    io\.metrics;|\.data\+0x|\*github\.com/|--fold=none  |--tree=dominators$|stub ──|
    static struct err""".replace("\n    ", "")

# Programs that documents may use.  What they are told is looked at where it says how.
PROGRAMS = {"grf-rsp", "make", "apt-get", "cd", "coredumpctl", "duckdb", "exec", "gdbserver", "go", "kubectl", "node", "objcopy",
            "podman", "python3", "qemu-aarch64", "qemu-system-x86_64", "sed", "sleep", "sqlite3", "ssh", "strip", "sudo", "tr", "virsh", "zstd"}

# Options that are not ours, wherever they are named.
OTHERS = {"gdbserver": "--attach --multi --once", "podman, docker, kubectl": "--pid --cap-add --user --rm --name --target --profile --image",
          "flamegraph.pl": "--countname", "tests/stub": "--fault", "tests/tools/support.py": "--arch",
          "objcopy": "--only-keep-debug --add-gnu-debuglink", "tests, node": "--tables --write --test --heap-prof", "virsh": "--hmp"}


@dataclass
class Command:
    doc: str
    line: int
    text: str
    inline: bool = False

    def __str__(self):
        return f"{self.doc}:{self.line}: {self.text}"


@dataclass
class Block:
    """Commands that are typed one after the other, in one shell."""
    doc: str
    commands: list = field(default_factory=list)


def text_of(doc):
    with open(os.path.join(TOP, doc)) as f:
        return f.read()


def parts(doc):
    """(number of the first line, lines, fence) of each part of each code block; (n, [line], None) of each other line."""
    fence, block, start = None, [], 0
    for n, line in enumerate([*text_of(doc).split("\n"), ""], 1):
        indented = line.startswith("    ") and fence is None
        inside = fence is not None and not line.startswith("```")
        if (indented or inside) and line.strip():
            if not block:
                start = n
            block.append(line[4:] if indented else line)
            continue
        if block:
            yield start, block, fence or "indented"
            block = []
        if line.startswith("```"):
            fence = line[3:].strip() if fence is None else None
        elif fence is None:
            yield n, [line], None


def is_command(line):
    """By its first word; a name with = before it is a variable's."""
    word = re.sub(r"^(\w+=(\"[^\"]*\"|\$\([^)]*\)|\S*) *)+", "", line).split(" ")[0]
    return word in PROGRAMS or word.startswith("./") or re.match(r"[\w/]+\.sh$", word) or re.match(r"flags=", line)


def commands_of(lines, start):
    """[(number, command)] of a part; None: it is no part of commands."""
    prompt = lines[0].startswith("$ ")
    if not prompt and not is_command(lines[0]):
        return None
    out, more = [], False
    for n, line in enumerate(lines, start):
        if more:
            out[-1] = (out[-1][0], out[-1][1] + "\n" + line)
        elif prompt and line.startswith("$ "):
            out.append((n, line[2:]))
        elif not prompt and not line.startswith("#"):
            out.append((n, line))
        else:
            continue
        more = out[-1][1].endswith("\\")
    return out


def read(doc):
    """(blocks, inline commands, targets) of a document, and errors: what nobody knows."""
    blocks, inline, targets, errors = [], [], [], []
    for start, lines, fence in parts(doc):
        if fence is None:
            for code in re.findall(r"`([^`]+)`", lines[0]):
                if re.match(r"(grf-rsp|make|go tool pprof)( |$)", code):
                    inline.append(Command(doc, start, code, True))
                elif re.match(r"'\| (?!COMMAND)", code):
                    targets.append(Command(doc, start, code, True))
        elif fence == "yaml":
            for at, words in re.findall(r"()command: \[([^\]]*)\]", "\n".join(lines)):
                inline.append(Command(doc, start, " ".join(shlex.quote(w) for w in re.findall(r'[^\s,"]+', words)), True))
        elif fence in ("indented", "sh", "console"):
            lines[0] = re.sub(r"^\*/\d+ +(\S+ +){4}", "", lines[0])  # a cron table's times
            found = commands_of(lines, start)
            if found:
                blocks.append(Block(doc, [Command(doc, n, text) for n, text in found]))
            elif not re.match(PRINTED, lines[0].strip()) and not (blocks and printed_below(doc, start)):
                errors.append(f"{doc}:{start}: neither a command that this test knows, nor anything that is printed: {lines[0]}")
            for n, line in enumerate(lines, start) if not found else ():
                if re.match(r" *(\$ )?(grf-rsp|make) +\S", line) and not re.match(PRINTED, line.strip()):
                    errors.append(f"{doc}:{n}: a command among what is printed: {line}")
    return blocks, inline, targets, errors


def printed_below(doc, start):
    """The part belongs to a block that begins with a command or with what is printed: only blank lines are between."""
    lines = text_of(doc).split("\n")[:start - 1]
    while lines and (not lines[-1].strip() or lines[-1].startswith("    ")):
        line = lines.pop()
    block = [l[4:] for l in text_of(doc).split("\n")[len(lines):start - 1] if l.strip()]
    return bool(block) and (block[0].startswith("$ ") or is_command(block[0]) or bool(re.match(PRINTED, block[0].strip())))


# Taken apart

def simple_commands(text):
    """The words of each simple command: without variables before it, redirections, comments."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=";&|<>")
    lexer.commenters, lexer.whitespace_split = "#", True
    out, skip = [[]], False
    for word in lexer:
        if re.fullmatch("[;&|]+", word):
            out.append([])
        elif re.fullmatch("[<>]+", word):
            skip = True
        elif skip:
            skip = False
        elif out[-1] or not re.match(r"\w+=", word):
            out[-1].append(word)
    return [words for words in out if words]


def options():
    """{name or letter: "" (no argument), "=" (one), "?" (perhaps one)}, from --help."""
    out = {}
    for letter, name, arg in re.findall(r"^  (?:-(\w), |    )--([\w-]+)(\[=[^\]]*\]| \S+)?", once("help", lambda: grf("--help").out), re.M):
        kind = "?" if arg.startswith("[") else "=" if arg else ""
        out[f"--{name}"] = kind
        if letter:
            out[f"-{letter}"] = kind
    check(len(out) > 25, out)
    return out


def taken_apart(words):
    """(options with their arguments, other words) of a grf-rsp command line."""
    known, given, rest, words = options(), [], [], list(words[1:])
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, equals, _ = word.partition("=")
        check(name in known, f"there is no option {name}")
        check(not equals or known[name], f"{name} takes no argument")
        given.append(word)
        if known[name] == "=" and not equals:
            check(words, f"{name} wants an argument")
            given.append(words.pop(0))
    return given, rest


TARGET = r"\d+|PID|POD|\$!|\"?\$\(.*\)\"?|([\w.-]+|\[[0-9a-f:]+\])?:(\d+|PORT)|unix:\S+|\| *\S.*|[\w./-]+"


def check_grf(words):
    """Its options exist and take what they are given, and TARGET is one."""
    given, rest = taken_apart(words)
    check(len(rest) <= 2, "more than TARGET and EXE:", rest)
    check(not rest or re.fullmatch(TARGET, rest[0], re.S), "no TARGET:", rest[:1])
    if rest and rest[0].startswith("|"):
        check_words(shlex.split(rest[0][1:]))
    # --help is said when all before it was understood.
    values = ["1" if word in ("PID", "$!") else word for word in given]
    r = understood(tuple(values))
    check(r.rc == 0, r.err)


@functools.cache
def understood(given):
    return grf(*given, "--help", rc=None)


def check_make(words):
    """Targets and variables are in the Makefile."""
    makefile = text_of("Makefile") + text_of("packaging/packaging.mk")
    targets = set(" ".join(re.findall(r"^([\w./ -]+):(?!=)", makefile, re.M)).split())
    used = makefile + text_of("tests/tools/layouts.sh") + text_of("tests/e2e/guest.py")
    for word in words[1:]:
        name, equals, _ = word.partition("=")
        if equals:
            check(re.search(rf"\b{name}\b", used), f"no variable {name} in the Makefile")
        else:
            check(word in targets or os.path.exists(os.path.join(TOP, word.removeprefix("build/") + ".c")), f"no target {word} in the Makefile")


def check_kubectl(words):
    """Its options are the real one's, where that is."""
    if shutil.which("kubectl"):
        text = once(f"kubectl {words[1]}", lambda: subprocess.run(["kubectl", words[1], "--help"], capture_output=True, text=True).stdout)
        words = words[:words.index("--")] if "--" in words else words
        for option in (w.partition("=")[0] for w in words[2:] if w.startswith("-")):
            check(re.search(rf"^ +(-\w, )?{option}\b", text, re.M), f"kubectl {words[1]} has no {option}")


def check_words(words):
    """One simple command."""
    program = words[0]
    check(program in PROGRAMS or re.match(r"\./\w|[\w/]+\.sh$|build/", program) or program.startswith("/usr/bin/python3"),
          f"nobody accounts for {program}")
    if program == "grf-rsp":
        check_grf(words)
    elif program == "make":
        check_make(words)
    elif program == "kubectl":
        check_kubectl(words)
        if "--" in words:
            check_words(words[words.index("--") + 1:])
    elif program in ("sudo", "exec"):
        check_words([w for w in words[1:] if w != "-n"])
    elif program == "ssh":
        words = re.sub(r"^ssh( -J \S+| -T)* ", "", " ".join(words)).split()
        check(not words[0].startswith("-"), "an option of ssh:", words[0])
        check_words(words[1:])


def check_command(command):
    """All of a command, whether it can be run here or not."""
    try:
        for words in simple_commands(command.text):
            check_words(words)
    except (Failure, ValueError) as e:
        raise Failure(f"{command}\n    {e}") from None


def has_target(command):
    """Inline code that says on what: it can be run."""
    words = simple_commands(command.text)[0]
    return words[0] == "grf-rsp" and bool(taken_apart(words)[1]) or words[0] == "go" and words[-1].startswith("grf.")


# Links

def anchor(heading):
    """As GitHub makes one of a heading."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()).replace(" ", "-")


def outside_code(doc):
    text = re.sub(r"^```.*?^```", "", text_of(doc), flags=re.M | re.S)
    return "\n".join(l for l in text.split("\n") if not l.startswith("    "))


def anchors(doc):
    return {anchor(h) for h in re.findall(r"^#+ +(.*)$", outside_code(doc), re.M)}


def links(doc):
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", outside_code(doc)))
