"""What users install: the manual, completions, packages, archives (packaging/)."""

import glob
import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest

from lib import *
from terminal import Terminal


def make(*args, timeout=50, cwd=TOP, rc=0, **env):
    # Not with what a make around the tests was told.
    env = {k: v for k, v in dict(os.environ, **env).items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    r = subprocess.run(["make", *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)
    check(r.returncode == rc, f"make {args}: status {r.returncode}\n{r.stdout}\n{r.stderr}")
    return r


def install(root, prefix, target="install"):
    # -o: other tests run that program, which is not to be made anew.
    make("-o", f"{OBJDIR}/grf-rsp", target, f"DESTDIR={root}", f"PREFIX={prefix}", f"OBJDIR={OBJDIR}")


@pytest.fixture
def installed():
    """The root of a file system into which `make install` has installed, once a run."""
    def made():
        root = tempfile.mkdtemp(prefix="installed.", dir=os.environ.get("GRF_TESTS_RUN"))
        install(root, "/usr")
        return root
    return once("installed", made)


def empty(path):
    open(path, "w").close()


def options():
    """What --help says: [(long name, letter, argument)]."""
    found = re.findall(r"^  (?:-(\w), |    )--([\w-]+)(\[=[^\]]*\]| \S+)?", grf("--help").out, re.M)
    check(len(found) > 20, found)
    return [(name, letter, arg.strip()) for letter, name, arg in found]


def test_installed(installed):
    """Each file is where the manual, the shells and people look for it, and is whole."""
    files = {os.path.relpath(os.path.join(d, f), installed) for d, _, names in os.walk(installed) for f in names}
    for path in ("usr/bin/grf-rsp", "usr/share/man/man1/grf-rsp.1", "usr/share/bash-completion/completions/grf-rsp",
                 "usr/share/zsh/site-functions/_grf-rsp", "usr/share/fish/vendor_completions.d/grf-rsp.fish",
                 "usr/share/doc/grf-rsp/README.md", "usr/share/doc/grf-rsp/CHANGELOG.md", "usr/share/doc/grf-rsp/docs/OUTPUT.md"):
        check(path in files, path, files)
    r = subprocess.run([f"{installed}/usr/bin/grf-rsp", "--version"], capture_output=True, text=True)
    check(r.stdout == grf("--version").out, r)
    # What README and the documents refer to was installed beside them.
    doc = f"{installed}/usr/share/doc/grf-rsp"
    for path in [f"{doc}/README.md", *glob.glob(f"{doc}/docs/*.md")]:
        for link in re.findall(r"\]\(((?:docs/)?[\w-]+\.(?:md|png|json))[)#]", open(path).read()):
            check(os.path.exists(os.path.join(os.path.dirname(path), link)), path, "refers to", link)


def test_uninstalled(installed):
    root = tmpdir()
    for target in "install", "uninstall":
        install(root, "/opt/grf", target)
    check(not [f for _, _, names in os.walk(root) for f in names], "left behind")


@pytest.mark.needs("mandoc")
def test_manual(installed):
    """The manual is sound, and has every option of --help, the exit statuses and the examples."""
    path = f"{installed}/usr/share/man/man1/grf-rsp.1"
    r = subprocess.run(["mandoc", "-Tlint", path], capture_output=True, text=True)
    check(r.returncode == 0 and not r.stdout, r)
    text = subprocess.run(["mandoc", "-Tutf8", "-O", "width=100", path], capture_output=True, text=True).stdout
    text = re.sub(".\b", "", text)
    for name, letter, arg in options():
        check(re.search(rf"^ +(-{letter}, )?--{name}\b", text, re.M) if letter else re.search(rf"^ +--{name}\b", text, re.M), name)
        check(not arg or f"--{name}{arg}" in text or f"--{name} {arg}" in text, name, arg)
    for heading in "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES":
        check(re.search(f"^{heading}$", text, re.M), heading)
    check(len(re.findall(r"^ {11}grf-rsp ", text, re.M)) >= 6, text)
    check(re.search(r"grf-rsp \d|\b20\d\d\b", text), "no date")


def completed(shown, words):
    missing = [w for w in words if not re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", shown)]
    check(not missing, "not offered:", missing, "in", shown)


@pytest.mark.needs("bash")
def test_bash(installed):
    d = tmpdir()
    empty(f"{d}/app.core")
    with Terminal(["bash", "--norc", "--noprofile", "-i"], {"PS1": "% "}) as t:
        t.type(f"bind 'set bell-style none'; bind 'set page-completions off'; bind 'set completion-query-items 0'\n"
               f". {installed}/usr/share/bash-completion/completions/grf-rsp; cd {d}; echo rea''dy\n")
        t.until(r"ready\r\n")
        t.type("grf-rsp --\t\t")
        completed(t.until(r"--why[^\n]*\n[\s\S]*% "), [f"--{name}" for name, _, _ in options()])
        for typed, shown in (("--for\t\t", "--force  --fork"), ("--fork=s\t", "--fork=seccomp"), ("--fold r\t", "--fold recursion"),
                             ("--limit leaked\t", "--limit leaked-goroutines="), ("app\t", "app.core"), ("-o ap\t", "-o app.core"),
                             ("-p bas\t", "-p bash"), (f"{os.getpid()}\t", f"{os.getpid()} ")):
            t.type("\x15grf-rsp " + typed)
            seen = t.until(re.escape(shown).replace(r"\ ", " +"))
            check(re.search(re.escape(shown).replace(r"\ ", " +"), seen), typed, seen)


@pytest.mark.needs("gdbserver", "bash")
def test_bash_stub(installed, stub):
    """Where a gdbserver listens is known on this machine."""
    with Terminal(["bash", "--norc", "--noprofile", "-i"], {"PS1": "% "}) as t:
        port = stub.target.rpartition(":")[2]
        t.type(f". {installed}/usr/share/bash-completion/completions/grf-rsp; echo rea''dy\n")
        t.until(r"ready\r\n")
        t.type(f"grf-rsp {stub.target.rpartition(':')[0]}:{port[:-1]}\t")
        seen = t.until(rf":{port} ")
        check(f":{port} " in seen, seen)


@pytest.mark.needs("zsh")
def test_zsh(installed):
    d = tmpdir()
    empty(f"{d}/app.core")
    with Terminal(["zsh", "-f", "-i"], {"PS1": "% "}) as t:
        t.type(f"fpath=({installed}/usr/share/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D; LISTMAX=1000; cd {d}; "
               "setopt no_always_to_end; echo rea''dy\n")
        t.until(r"ready\r\n")
        t.type("grf-rsp --\t")
        completed(t.until(r"--why[\s\S]*grf-rsp --"), [f"--{name}" for name, _, _ in options()])
        for typed, shown in (("--fork=s\t", "--fork=seccomp"), ("--fold=r\t", "--fold=recursion"), ("-o ap\t", "-o app.core"),
                             ("--limit leaked\t", "--limit leaked-goroutines=")):
            t.type("\x15grf-rsp " + typed)
            seen = t.until(re.escape(shown))
            check(shown in seen, typed, seen)


@pytest.mark.needs("fish")
def test_fish(installed):
    d = tmpdir()
    empty(f"{d}/app.core")

    def complete(line):
        r = subprocess.run(["fish", "--no-config", "-c", f"source {installed}/usr/share/fish/vendor_completions.d/grf-rsp.fish; "
                            f"complete -C 'grf-rsp {line}'"], capture_output=True, text=True, cwd=d, timeout=30)
        check(not r.stderr, r)
        return r.stdout

    completed(complete("--"), [f"--{name}" for name, _, _ in options()])
    for typed, shown in (("--fork=s", "--fork=seccomp"), ("--fold r", "recursion"), ("ap", "app.core"), ("-o ap", "app.core"),
                         (str(os.getpid())[:-1], str(os.getpid())), ("--limit leaked", "leaked-goroutines=")):
        completed(complete(typed), [shown])


def test_version_is_one():
    """The version is said in one place, and every output and package has it from there."""
    version = re.search(r"^VERSION := (\S+)$", open(f"{TOP}/Makefile").read(), re.M)[1]
    r = grf("--version")
    check(re.match(rf"grf-rsp {re.escape(version)}( \([0-9a-f]{{12}}\+?\))?\nlibelf [\d.]+, libdwarf [\d.]+, zlib [\d.]+, expat [\d.]+, "
                   rf"protobuf-c [\d.]+, json-c [\d.]+, (SQLite [\d.]+|no SQLite)\nGo 1\.\d+ to 1\.\d+\.\d+\nJSON grf-rsp/\d+\n$", r.out), r)
    check(f"## [{version}]" in open(f"{TOP}/CHANGELOG.md").read(), "CHANGELOG.md has no part for", version)
    hits = subprocess.run(["git", "grep", "-nF", version, "--", "packaging", "*.c", "*.h"], cwd=TOP, capture_output=True, text=True)
    check(not hits.stdout, "said twice:", hits.stdout)


# make check-packages

@pytest.mark.packages
@pytest.mark.timeout(900)
@pytest.mark.needs("dpkg-buildpackage", "dh", "lintian")
class TestDeb:
    @pytest.fixture
    def deb(self):
        def made():
            make("deb", f"OBJDIR={OBJDIR}", timeout=600)
            return glob.glob(f"{OBJDIR}/deb/grf-rsp_*_*.deb")[0]
        return once("deb", made)

    def test_lintian(self, deb):
        r = subprocess.run(["lintian", "--fail-on", "error,warning", deb.replace(".deb", ".changes")], capture_output=True, text=True)
        check(r.returncode == 0 and not r.stdout, r)

    @pytest.mark.needs("debootstrap")
    @pytest.mark.parametrize("suite", ["bookworm", "trixie"])
    def test_on_bare_debian(self, deb, suite, zoo_core):
        """It installs with what Debian has, and analyses a core file there."""
        if os.geteuid():
            pytest.skip("debootstrap and chroot want root")
        root = f"{tmpdir()}/root"
        subprocess.run(["debootstrap", "--variant=minbase", suite, root, os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")],
                       check=True, capture_output=True, timeout=600)
        core, exe = zoo_core
        for path in deb, core, exe:
            shutil.copy(path, f"{root}/tmp/{os.path.basename(path)}")
        shutil.copy("/etc/resolv.conf", f"{root}/etc/resolv.conf")
        run = lambda *args: subprocess.run(["chroot", root, *args], capture_output=True, text=True, timeout=300,
                                           env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"})
        r = run("apt-get", "install", "-y", "--no-install-recommends", f"/tmp/{os.path.basename(deb)}")
        check(r.returncode == 0, r)
        r = run("grf-rsp", "-o", "/tmp/out.folded", f"/tmp/{os.path.basename(core)}", f"/tmp/{os.path.basename(exe)}")
        check(r.returncode == 0 and "live" in r.stdout, r)
        check(os.path.getsize(f"{root}/tmp/out.folded") > 0, "nothing written")


@pytest.fixture
def zoo_core(stub):
    d = tmpdir()
    with Prog([build("zoo")]) as p:
        grf("-q", "--save-only", "-p", p.pid, "-o", f"{d}/zoo.core", stub.target, p.exe)
        yield f"{d}/zoo.core", p.exe


@pytest.mark.packages
@pytest.mark.timeout(900)
@pytest.mark.needs("rpmbuild", "rpm", "cpio")
def test_rpm():
    make("rpm", f"OBJDIR={OBJDIR}", timeout=600)
    rpm, = glob.glob(f"{OBJDIR}/rpm/RPMS/*/*.rpm")
    files = subprocess.run(["rpm", "-qlp", rpm], capture_output=True, text=True).stdout.split()
    for path in "/usr/bin/grf-rsp", "/usr/share/man/man1/grf-rsp.1.gz", "/usr/share/doc/grf-rsp/README.md":
        check(path in files or path.removesuffix(".gz") in files, path, files)
    root = tmpdir()
    subprocess.run(f"rpm2cpio {rpm} | cpio -id --quiet", shell=True, cwd=root, check=True)
    r = subprocess.run([f"{root}/usr/bin/grf-rsp", "--version"], capture_output=True, text=True)
    check(r.returncode == 0 and r.stdout.startswith("grf-rsp "), r)


@pytest.mark.packages
@pytest.mark.timeout(1200)
@pytest.mark.needs("git", "dpkg-architecture", "aarch64-linux-gnu-gcc", "qemu-aarch64", "gdbserver")
class TestDist:
    @pytest.fixture
    def dist(self):
        """Made twice, in two folders and at two times."""
        def made():
            top = tempfile.mkdtemp(prefix="dist.", dir=os.environ.get("GRF_TESTS_RUN"))
            return "\n".join(self.made(f"{top}/{name}") for name in ("one", "another/folder"))
        return once("dist", made).split("\n")

    @staticmethod
    def made(tree):
        subprocess.run(["git", "clone", "-q", TOP, tree], check=True)
        for sysroot in glob.glob(f"{OBJDIR}/sysroot-*"):
            shutil.copytree(sysroot, f"{tree}/build/{os.path.basename(sysroot)}", symlinks=True)
        subprocess.run(["find", tree, "-name", "*.c", "-exec", "touch", "{}", "+"], check=True)
        make("dist", f"HOST_GRF={GRF}", "OBJDIR=build", timeout=900, cwd=tree)
        return f"{tree}/build/dist"

    def test_the_same_bytes(self, dist):
        names = sorted(os.listdir(dist[0]))
        check(names == sorted(os.listdir(dist[1])) and len(names) == 9, names)
        for name in names:
            check(open(f"{dist[0]}/{name}", "rb").read() == open(f"{dist[1]}/{name}", "rb").read(), name, "differs")
        for name in names:
            if name.endswith(".sha256"):
                subprocess.run(["sha256sum", "-c", "--quiet", name], cwd=dist[0], check=True)

    def test_bill_of_materials(self, dist):
        for path in glob.glob(f"{dist[0]}/*.spdx.json"):
            d = json.load(open(path))
            check(d["spdxVersion"] == "SPDX-2.3" and d["packages"][0]["name"] == "grf-rsp", d)
            if "linux" in path:
                names = {p["name"] for p in d["packages"]}
                check({"libc6-dev", "libelf-dev", "libdwarf-dev", "zlib1g-dev"} <= names, names)

    def test_runs(self, dist, zoo_core, stub):
        """Both analyse a core file to the same profile, and arm64's a live process, under QEMU's user mode."""
        core, exe = zoo_core
        folded = []
        for arch in [], ["qemu-aarch64"]:
            binary, = glob.glob(f"{dist[0]}/grf-rsp-*-linux-{'arm64' if arch else 'amd64'}")
            out = f"{tmpdir()}/out.folded"
            subprocess.run([*arch, binary, "-q", "-o", out, core, exe], check=True, timeout=300)
            folded.append(open(out).read())
            with Prog([build("zoo")]) as p:
                r = subprocess.run([*arch, binary, "-o", out, "-p", str(p.pid), stub.target, p.exe], capture_output=True, text=True, timeout=300)
                check(r.returncode == 0 and "it runs again" in r.stdout, r)
        check(folded[0] == folded[1] and folded[0], "not the same")
