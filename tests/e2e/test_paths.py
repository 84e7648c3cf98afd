"""Paths for people: recursion, containers, what interfaces hold, owners, roots by names that people know."""

import os

import pytest

from exactness import check_sums, within
from lib import *
from matrix import releases

SOME = ["1.17.13", "1.21.13", "1.23.12", GO_VERSION]


def sums(stacks):
    """Bytes by root."""
    out = {}
    for s, n in stacks:
        root = s.split(";")[0]
        out[root] = out.get(root, 0) + n
    return out


def both(target, p, *args):
    """The folded profile of a process that does nothing, and the one of each step by itself."""
    core = f"{tmpdir()}/p.core"
    grf("--save-only", "-o", core, "-p", p.pid, target, p.exe)
    return profile(core, p.exe, *args), profile(core, p.exe, "--fold=none", *args)


def biggest(prof):
    return max(prof.stacks, key=lambda x: x[1])[0]


def bytes_below(prof, pattern):
    return sum(n for s, n in prof.stacks if re.search(pattern, s))


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", releases(SOME))
def test_recursion(stub, version, say):
    """Lists, trees, tries, B-trees, skip lists, ropes, caches, directories: a node per type, no byte lost."""
    p = Prog([build("shapes", version)])
    heap = int(p.wait_line("^heapalloc ").split()[1])
    fold, none = both(stub.target, p)
    check_sums(fold.totals)
    assert within(fold.total, heap, 0.001)
    assert sums(fold.stacks) == sums(none.stacks)
    say(f"go{version} shapes: {len(none.stacks)} samples, folded {len(fold.stacks)}")
    assert len(fold.stacks) <= 500 and len(none.stacks) > 100000
    assert max(s.count(";") for s, _ in fold.stacks) < 24
    for root in "list", "tree", "trie", "btree", "skip", "rope", "lru", "root":
        mine = [s for s, _ in fold.stacks if s.split(";")[0] == f"main.{root}"]
        check(1 <= len(mine) <= 30, root, mine[:40])
    check(bytes_below(fold, r"^main\.rope;[LR]\. \(main\.Rope = \*main\.Concat\)") > 0, "no concrete type in an interface")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", releases([*SOME[1:], "1.27.3"], " ".join(f"1.{m}" for m in range(19, 40))))
def test_containers(stub, version, say):
    """sync.Map, container/list, generic caches, contexts, JSON: what they hold, not what they are made of.  Since 1.19, as
    the program has an atomic.Pointer."""
    p = Prog([build("nest", version)])
    fold, none = both(stub.target, p)
    assert sums(fold.stacks) == sums(none.stacks)
    say(f"go{version} nest: {len(none.stacks)} samples, folded {len(fold.stacks)}")
    assert len(fold.stacks) <= 500
    assert max(len(s.split(";")) for s, _ in fold.stacks) <= 24
    text = "\n".join(s for s, _ in fold.stacks)
    for name in "Attrs", "Hist", "Users", "Files":
        assert f";{name}. (" in text, name
    session = r"^main\.sessions;\$mapval\. \(any = \*main\.Session\);"
    assert bytes_below(fold, session + r"Attrs\. \(sync\.Map\);\$mapval\. \(any = \*main\.Attr\);Data\. \(\[\]uint8\)$") >= 500 * 20 * 64
    assert bytes_below(fold, session + r"Hist\. \(\*list\.List\);\$elem\. \(any = \*main\.Event\);Body\.") >= 500 * 20 * 48
    assert bytes_below(fold, r"^main\.ctx;val\. \(any = \[\]uint8\)$") >= 5000 * 32
    assert bytes_below(fold, r"^main\.recent;\$elem\. \(any = \*main\.Event\);Body\.") >= 50 * 500
    assert bytes_below(fold, r"^main\.config;Raw\.|^main\.config.*= \*main\.Config\);Raw\.") >= 10000
    assert bytes_below(fold, r"^main\.current;Raw\. ") >= 20000
    for inside in "HashTrieMap", "sync.entry", "list.Element", "indirect", "readOnly":
        assert inside not in text, inside
    check(len([s for s, _ in fold.stacks if s.startswith("main.doc")]) <= 8, "JSON is not folded")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_max_nodes(stub):
    """At most so many nodes, their bytes kept, and said."""
    p = Prog([build("nest")])
    core = f"{tmpdir()}/p.core"
    grf("--save-only", "-o", core, "-p", p.pid, stub.target, p.exe)
    whole = profile(core, p.exe)
    for n in 1, 10, 50:
        prof = profile(core, p.exe, "--max-nodes", n)
        assert len(prof.stacks) <= n
        assert prof.total == whole.total
        assert "[smaller]" in prof.run.out and prof.totals["smaller_nodes"] > 0
    assert profile(core, p.exe, "--max-nodes", 100000).stacks == whole.stacks


def run_source(text, stub, *args, version=GO_VERSION, ready="READY"):
    p = Prog([go_source(text, version=version, line=".".join(version.split(".")[:2]))], ready=ready)
    return profile(stub.target, p.exe, "-p", p.pid, *args)


HEAD = """package main

import (
	"fmt"
	"time"
)

var sink interface{}

func ready() {
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
"""

DEFERRED = HEAD + """
type job struct{ load []byte }

func (j *job) name() string { return "x" }

//go:noinline
func work(j *job, in chan int) {
	defer func() { println(j.name(), len(j.load)) }()
	for range in {
		fmt.Println(len(j.load))
	}
}

func main() {
	for i := 0; i < 20; i++ {
		go work(&job{make([]byte, 1<<20)}, make(chan int))
	}
	ready()
}
"""


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_local_before_closure(stub):
    """A deferred closure in the frame holds what a local holds, too: the local gives the name."""
    prof = run_source(DEFERRED, stub)
    assert bytes_below(prof, r"^main\.work\.j;load\. \(\[\]uint8\)$") == 20 << 20
    # What each goroutine costs is not the runtime's.
    assert bytes_below(prof, r"^\[goroutines\];main\.work$") > 0
    assert bytes_below(prof, r"^runtime\.allg") < 1000  # the table of them


OWNER = HEAD + """
type storage struct{ rows map[int][]byte }

type callback func() int

var registry []callback

//go:noinline
func newStorage() *storage {
	s := &storage{map[int][]byte{}}
	for i := 0; i < 1000; i++ {
		s.rows[i] = make([]byte, 10000)
	}
	registry = append(registry, func() int { return len(s.rows) })
	return s
}

//go:noinline
func (s *storage) run(in chan int) {
	for k := range in {
		delete(s.rows, k)
	}
	fmt.Println(len(s.rows))
}

func main() {
	s := newStorage()
	go s.run(make(chan int))
	s = nil
	ready()
}
"""


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_owner_before_borrower(stub):
    """A metric's closure reaches the storage on a shorter way than the goroutine that owns it."""
    prof = run_source(OWNER, stub)
    assert biggest(prof).startswith("main.(*storage).run.s;rows."), biggest(prof)


REQUEST = HEAD + """
type store struct{ rows map[int][]byte }
type app struct{ store *store }
type server struct{ app *app }

//go:noinline
func next(in chan int) int { return <-in }

//go:noinline
func transaction(tx *store, in chan int) {
	n := next(in)
	delete(tx.rows, n)
}

//go:noinline
func serve(s *store, in chan int, busy bool) {
	if busy {
		transaction(s, in)
		return
	}
	next(in)
}

//go:noinline
func (s *server) loop() {
	for i := 0; i < 8; i++ {
		s := s.app.store
		if i != 5 {
			s = nil
		}
		go serve(s, make(chan int), i == 5)
	}
	ready()
	fmt.Println(len(s.app.store.rows))
}

func main() {
	s := &server{&app{&store{map[int][]byte{}}}}
	for i := 0; i < 1000; i++ {
		s.app.store.rows[i] = make([]byte, 10000)
	}
	go s.loop()
	select {}
}
"""


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", releases(SOME))
def test_owner_before_request(stub, version):
    """A request that alone is in a function just now has a shorter way than the server's loop."""
    prof = run_source(REQUEST, stub, version=version)
    assert re.match(r"main\.\(\*server\)\.loop\.s;app\..*;store\..*;rows\.", biggest(prof)), biggest(prof)


INTERIOR = HEAD + """
type ring struct {
	chunks []*[4096]byte
	off    int
}
type table struct {
	name string
	head, tail ring
}
type view struct{ r *ring }

var views []view

func main() {
	for i := 0; i < 100; i++ {
		t := &table{name: fmt.Sprint("table", i)}
		for j := 0; j < 50; j++ {
			t.tail.chunks = append(t.tail.chunks, new([4096]byte))
		}
		views = append(views, view{&t.head})
	}
	ready()
}
"""


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_interior(stub):
    """An object that is entered by one of its fields is the struct that has such a field there."""
    prof = run_source(INTERIOR, stub)
    assert bytes_below(prof, r"^main\.views;.*tail\. \(main\.ring\);chunks\. .*\[\]\. \(\*\[4096\]uint8\)$") == 100 * 50 * 4096
    assert prof.totals["unnamed_bytes"] < prof.total / 1000


TIMERS = HEAD + """
type login struct{ token []byte }

//go:noinline
func expire(l *login) { time.AfterFunc(time.Hour, func() { fmt.Println(len(l.token)) }) }

func main() {
	for i := 0; i < 10; i++ {
		expire(&login{make([]byte, 100000)})
	}
	ready()
}
"""


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", releases(["1.20.14", GO_VERSION]))
def test_timers(stub, version):
    """What a timer will call is a root of its own."""
    prof = run_source(TIMERS.replace("any", "interface{}"), stub, version=version)
    assert bytes_below(prof, r"^timers;time\.AfterFunc;main\.expire\.func1;l\. \(\*main\.login\);token\.") >= 1000000


PULL = HEAD.replace('"time"', '"iter"\n\t"time"') + """
type record struct{ load []byte }

func records(n int) iter.Seq[*record] {
	keep := &record{make([]byte, 1<<20)}
	return func(yield func(*record) bool) {
		for yield(&record{keep.load[:n]}) {
		}
	}
}

var nexts []func() (*record, bool)

func main() {
	for i := 0; i < 20; i++ {
		next, _ := iter.Pull(records(i))
		next()
		nexts = append(nexts, next)
	}
	ready()
}
"""


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_pull(stub):
    """iter.Pull's coroutines: what their frames hold is named, and counted as named."""
    prof = run_source(PULL, stub)
    assert bytes_below(prof, r"keep;load\. \(\[\]uint8\)$") >= 20 << 20, biggest(prof)
    assert prof.totals["unnamed_bytes"] < prof.total / 1000


STRIPPED = HEAD + """
type store struct{ rows map[int][]byte }

var report = func() int { return 0 }

//go:noinline
func newStore() {
	s := &store{map[int][]byte{}}
	for i := 0; i < 1000; i++ {
		s.rows[i] = make([]byte, 10000)
	}
	report = func() int { return len(s.rows) }
}

func main() {
	newStore()
	fmt.Println(report())
	ready()
}
"""


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("arch", ["amd64", "arm64", "s390x", "riscv64", "ppc64le", "mips", "386", "arm"])
def test_stripped(stub, arch):
    """Without symbols a variable is known by who uses it, a closure by its entry."""
    src = tmpdir()
    for name, body in ("go.mod", "module program\n\ngo 1.21\n"), ("main.go", STRIPPED):
        with open(f"{src}/{name}", "w") as f:
            f.write(body)
    exe = go_build(src, f"{src}/exe", "-ldflags=-s -w", CGO_ENABLED="0", GOARCH=arch)
    if arch == "amd64":
        p = Prog([exe])
        prof = profile(stub.target, p.exe, "-p", p.pid)
    else:
        from stubs import QemuUser, cpu
        p = QemuUser(arch, exe, options=cpu(arch, GO_VERSION))
        prof = profile(p.target, exe, "--until", "main.ready", timeout=150)
    check(re.match(r"\.(data|bss|noptrdata|noptrbss)\+0x[0-9a-f]+ \(main\.(newStore|main)\);main\.newStore\.func1", biggest(prof)),
          biggest(prof))


OWN_VARIABLES = {
    "alpha/alpha.go": """package alpha

// Shared is used by others only.
var Shared = map[string][]byte{"one": make([]byte, 1)}
""",
    "beta/beta.go": """package beta

type store struct{ name string; pad [7]int; rows map[int][]byte }

var defaultStore store

// Default is what others know of defaultStore.
var Default = &defaultStore

//go:noinline
func Add(n int, b []byte) { Default.add(n, b) }

func (s *store) add(n int, b []byte) {
	if s.rows == nil {
		s.rows = map[int][]byte{}
	}
	s.rows[n] = b
}
""",
    "delta/delta.go": """package delta

import "program/alpha"

type Registry struct{ Rows [][]byte }

//go:noinline
func newRegistry() *Registry { return &Registry{} }

var Main = newRegistry()

//go:noinline
func Look() int { return len(alpha.Shared) + len(Main.Rows) }
""",
    "main.go": HEAD.replace('"time"', '"time"\n\n\t"program/alpha"\n\t"program/beta"\n\t"program/delta"') + """
//go:noinline
func fill() {
	alpha.Shared["two"] = make([]byte, 1<<20)
	beta.Add(1, make([]byte, 2<<20))
	delta.Main.Rows = append(delta.Main.Rows, make([]byte, 4<<20))
}

//go:noinline
func look() int { return len(alpha.Shared) + len(delta.Main.Rows) + delta.Look() }

func main() {
	fill()
	fmt.Println(look())
	ready()
}
""",
}


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("arch", ["amd64", "arm64", "s390x", "riscv64", "ppc64le", "mips", "386"])
def test_stripped_package(stub, arch):
    """A variable that others use more belongs to the package that initializes it, or whose variable leads there."""
    src = tmpdir()
    for name, body in {"go.mod": "module program\n\ngo 1.21\n", **OWN_VARIABLES}.items():
        os.makedirs(os.path.dirname(f"{src}/{name}"), exist_ok=True)
        with open(f"{src}/{name}", "w") as f:
            f.write(body)
    exe = go_build(src, f"{src}/exe", "-ldflags=-s -w", CGO_ENABLED="0", GOARCH=arch)
    if arch == "amd64":
        p = Prog([exe])
        prof = profile(stub.target, p.exe, "-p", p.pid)
    else:
        from stubs import QemuUser, cpu
        p = QemuUser(arch, exe, options=cpu(arch, GO_VERSION))
        prof = profile(p.target, exe, "--until", "main.ready", timeout=150)
    for package, size in ("alpha", 1 << 20), ("beta", 2 << 20), ("delta", 4 << 20):
        held = bytes_below(prof, rf"^\.\w+\+0x[0-9a-f]+ \({package}\.")
        assert size <= held < size + 65536, (package, held, sorted((n, s) for s, n in prof.stacks)[-8:])

@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_stripped_contents(stub):
    """What an object says of itself names the step to it; what goroutines wait for has its name."""
    p = Prog([build("nest", flags=["-ldflags=-s -w"], tag="-stripped")])
    prof = profile(stub.target, p.exe, "--goroutines", "-p", p.pid)
    assert bytes_below(prof, r"\$sub_objects\$ \(\*?\[\]interface \{\}\);\[\]\. \(any = map\[string\]interface \{\}\)$") > 0
    assert bytes_below(prof, r"\(\*main\.Session\);Attrs\. \(sync\.Map\);\$mapval\. \(any = \*main\.Attr\)$") > 0
    assert bytes_below(prof, r"\(\*main\.Cache\[string,\*main\.User\]\);.*;val\. \(\*main\.User\);Files\.") > 0
    assert prof.totals["unnamed_bytes"] < 0.02 * prof.totals["live_bytes"], prof.totals
    assert "waiting, reason" not in prof.text
    assert re.search(r"goroutines? .*\b(sleep|select|chan receive|force gc|GC worker)", prof.text), prof.text
