// What names a profile gives to locals: of generic code, of inlined functions, in spilled slots, of closures.
// Speaks as zoo does (keep, heapalloc, READY); each payload is reached by one local alone.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

const page = 8192

type Item struct{ Data []byte }
type Other struct {
	Rest *Item
	N    int
}
type Box[T any] struct {
	V    T
	Next *Box[T]
}
type Pair[K comparable, V any] struct {
	K K
	V V
	M map[K]V
}

var (
	pages          = 2
	started, never = make(chan bool), make(chan bool)
)

func pay(name, pattern string) []byte {
	b := make([]byte, pages*page)
	for i := range b {
		b[i] = byte(i * pages)
	}
	fmt.Printf("keep %s %d %s\n", name, len(b), pattern)
	pages++
	return b
}

func item(name, pattern string) *Item { return &Item{pay(name, pattern)} }

//go:noinline
func park() {
	started <- true
	<-never
}

// Two instances of one shape: only the dictionary in the frame tells them apart.
//
//go:noinline
func hold[T any](x T) {
	b := &Box[T]{Next: &Box[T]{V: x}}
	park()
	fmt.Fprintln(os.Stderr, b, any(x))
}

//go:noinline
func (p *Pair[K, V]) wait(more V) {
	slice := []V{more}
	park()
	fmt.Fprintln(os.Stderr, p, slice)
}

// One instance of its shape: what a closure captures has its type.
//
//go:noinline
func capture[T any](x T) func() T {
	return func() T { return x }
}

//go:noinline
func gorClosure(fn func() *Item) {
	park()
	fn()
}

// Small enough to be inlined; its locals show under its own name.
func inlined(item *Item) int {
	data := item.Data
	item.Data = nil
	park()
	data[0]++
	return len(data)
}

//go:noinline
func gorInlined(item *Item) int { return inlined(item) + 1 }

// More values than registers: they live in spilled slots, which only location lists know.
//
//go:noinline
func gorSpilled(n int) int {
	a, b, c := item("spillA", `^main\.gorSpilled\.a;Data`), item("spillB", `^main\.gorSpilled\.b;Data`), pay("spillC", `^main\.gorSpilled\.c$`)
	m := map[string]*Item{"x": item("spillM", `^main\.gorSpilled\.m;\$mapval\. \(\*main\.Item\);Data`)}
	var i interface{} = item("spillI", `^main\.gorSpilled\.i;`)
	park()
	fmt.Fprintln(os.Stderr, a, b, c, m, i)
	return n
}

func main() {
	debug.SetGCPercent(-1)
	go hold(item("generic1", `^main\.hold\[\*main\.Item\]\.(b;Next\. \(\*main\.Box\[\*main\.Item\]\);V|x;Data)\b.*Data\. \(\[\]uint8\)$|^main\.hold\[\*main\.Item\]\.x;Data`))
	<-started
	go hold(&Other{Rest: item("generic2", `^main\.hold\[\*main\.Other\]\.(b;Next\. \(\*main\.Box\[\*main\.Other\]\);V\. \(\*main\.Other\)|x);Rest\. \(\*main\.Item\);Data`)})
	<-started
	go (&Pair[string, *Item]{M: map[string]*Item{"a": item("method1",
		`^main\.\(\*Pair\[string,\*main\.Item\]\)\.wait\.p;M\. \(map\[string\]\*main\.Item\);\$mapval\. \(\*main\.Item\);Data`)}}).wait(item("method2",
		`^main\.\(\*Pair\[string,\*main\.Item\]\)\.wait\.(slice;\[0?\]\. \(\*main\.Item\)|more);Data`))
	<-started
	go gorClosure(capture(item("closure", `^main\.gorClosure\.fn;main\.capture\[.*\]\.func1;x\. \(\*main\.Item\);Data`)))
	<-started
	go gorInlined(item("inlined", `^main\.inlined\.data$`))
	<-started
	go gorSpilled(len(os.Args))
	<-started
	ballast := make([]byte, 2048*page) // what signals allocate later is little beside it
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGUSR1)
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	os.Stdout.WriteString("heapalloc ")
	fmt.Println(m.HeapAlloc)
	fmt.Println("READY")
	for range sig {
		fmt.Println("checksums ok")
	}
	runtime.KeepAlive(ballast)
}
