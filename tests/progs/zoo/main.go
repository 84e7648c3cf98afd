// Zoo keeps a payload of known, distinct size behind every kind of reference that Go knows, one
// root each, and says so:
//
//	keep NAME BYTES PATTERN    one path that matches the regular expression PATTERN holds BYTES
//	                           (and less than a page more)
//	total NAME BYTES PATTERN   all paths that match hold BYTES together (and less than a page more)
//	gone NAME BYTES            nothing but a weak pointer refers to BYTES: no path holds them
//	heapalloc BYTES            runtime.MemStats.HeapAlloc after two collections
//	READY
//
// From READY on nothing allocates and no collection runs, unless asked:
//
//	SIGUSR1    checks every payload: "checksums ok" or "BAD name"
//	SIGUSR2    makes 16 MiB of garbage: "garbage 16777216"
//	-garbage   makes it before READY
//	-tick      checks and prints "tick N checksum ok" every 100 ms
//
// A payload is a multiple of the runtime's page (8 KiB), so that its slot is exactly as large.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"
)

const (
	page = 8192
	word = 4 << (^uintptr(0) >> 63)
)

// What was promised.  Addresses are kept as numbers: they keep nothing alive.
type promise struct {
	name    string
	pattern string
	verb    string
	bytes   uintptr
	addr    uintptr
	size    uintptr
	sum     uint64
}

var (
	promises  [256]promise
	nPromises int
	pageTaken [1024]bool
	nextPages = 24 // fewer pages are for types with a size in their declaration
)

func sumOf(addr, size uintptr) uint64 {
	var sum uint64
	for i := uintptr(0); i < size; i += 8 {
		sum = sum*31 + *(*uint64)(*(*unsafe.Pointer)(unsafe.Pointer(&addr)))
		addr += 8
	}
	return sum
}

// promised registers size bytes at p.
func promised(verb, name, pattern string, p unsafe.Pointer, size uintptr) {
	if size%page != 0 || pageTaken[size/page] {
		panic("payload " + name + ": its size is taken, or is no multiple of a page")
	}
	pageTaken[size/page] = true
	addr := uintptr(p)
	promises[nPromises] = promise{name, pattern, verb, size, addr, size, sumOf(addr, size)}
	nPromises++
}

func keep(name, pattern string, p unsafe.Pointer, size uintptr) {
	promised("keep", name, pattern, p, size)
}

// total promises a sum of slots, of which p is the payload proper.
func total(name, pattern string, bytes uintptr, p unsafe.Pointer, size uintptr) {
	promised("total", name, pattern, p, size)
	promises[nPromises-1].bytes = bytes
}

func newPages() int {
	n := nextPages
	nextPages++
	return n * page
}

func fill(b []byte, seed int) {
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
}

// pay makes a payload without pointers.
func pay(name, pattern string) []byte {
	b := make([]byte, newPages())
	fill(b, nPromises)
	keep(name, pattern, unsafe.Pointer(&b[0]), uintptr(len(b)))
	return b
}

// payVar makes a payload behind the package variable of that name.
func payVar(name string) []byte {
	return pay(name, `^main\.`+name+`(;|$)`)
}

// payFunc makes a payload behind a goroutine in the function of that name.
func payFunc(name string) []byte {
	return pay(name, `(^|;)main\.`+name+`\b`)
}

func payString(name, pattern string) string {
	b := pay(name, pattern)
	return *(*string)(unsafe.Pointer(&b))
}

// A cell is part of a payload with pointers: they lead back into it.
type cell struct {
	self *cell
	n    uintptr
}

func payCells(name, pattern string) []cell {
	n := newPages()
	c := make([]cell, n/int(unsafe.Sizeof(cell{})))
	for i := range c {
		c[i] = cell{&c[len(c)-1-i], uintptr(i * nPromises)}
	}
	keep(name, pattern, unsafe.Pointer(&c[0]), uintptr(n))
	return c
}

// gone registers bytes that only something weak refers to.
func gone(name string, size uintptr) {
	promises[nPromises] = promise{name: name, verb: "gone", bytes: size}
	pageTaken[size/page] = true
	nPromises++
}

// Printing without allocating.
var (
	line  [256]byte
	nLine int
)

func puts(s string) {
	nLine += copy(line[nLine:], s)
}

func putn(n uint64) {
	var d [20]byte
	i := len(d)
	for {
		i--
		d[i] = byte('0' + n%10)
		n /= 10
		if n == 0 {
			break
		}
	}
	nLine += copy(line[nLine:], d[i:])
}

func flush() {
	for off := 0; off < nLine; {
		n, err := syscall.Write(1, line[off:nLine])
		if err == syscall.EINTR || err == syscall.EAGAIN {
			continue
		}
		if err != nil {
			os.Exit(1)
		}
		off += n
	}
	nLine = 0
}

// bad is the name of a payload that changed, or "".
func bad() string {
	for i := 0; i < nPromises; i++ {
		p := &promises[i]
		if p.addr != 0 && sumOf(p.addr, p.size) != p.sum {
			return p.name
		}
	}
	return ""
}

func report() {
	if name := bad(); name != "" {
		puts("BAD ")
		puts(name)
	} else {
		puts("checksums ok")
	}
	puts("\n")
	flush()
}

type litter struct {
	next *litter
	_    [64 - word]byte
}

var sink unsafe.Pointer

// 16 MiB of slots that are exactly full: 8 of large objects, 4 of small ones, 4 of a chain.
//
//go:noinline
func garbage() {
	for i := 0; i < 8; i++ {
		b := make([]byte, 1<<20)
		b[i] = 1
		sink = unsafe.Pointer(&b[0])
	}
	for i := 0; i < 4<<10; i++ {
		b := make([]byte, 1<<10)
		b[i%len(b)] = 1
		sink = unsafe.Pointer(&b[0])
	}
	var chain *litter
	for i := 0; i < 4<<20/int(unsafe.Sizeof(litter{})); i++ {
		chain = &litter{next: chain}
		sink = unsafe.Pointer(chain)
	}
	sink = nil
	puts("garbage ")
	putn(16 << 20)
	puts("\n")
	flush()
}

var (
	stats   runtime.MemStats
	started = make(chan bool)
	never   = make(chan bool)
)

// hold starts a goroutine and waits until it keeps what it is to keep.
func hold(f func()) {
	go f()
	<-started
}

// park is where such a goroutine stays.
func park() {
	started <- true
	<-never
}

func main() {
	debug.SetGCPercent(-1)
	tick, trash := false, false
	for _, arg := range os.Args[1:] {
		tick = tick || arg == "-tick"
		trash = trash || arg == "-garbage"
	}
	sigs := make(chan os.Signal, 8)
	signal.Notify(sigs, syscall.SIGUSR1, syscall.SIGUSR2)
	var ticks <-chan time.Time
	if tick {
		ticks = time.NewTicker(100 * time.Millisecond).C
	}

	keepData()
	keepMaps()
	keepFuncs()
	keepStacks()
	keepReflect()
	keepRuntime()
	keepGo18()
	keepGo19()
	keepGo21()
	keepGo23()
	keepGo24()
	keepGo25()
	keepCgo()
	keepC()
	keepArenas()
	keepBubble()
	queueFinalizers()
	for i := 0; i < nPromises; i++ {
		p := &promises[i]
		if p.verb != "gone" {
			fmt.Println(p.verb, p.name, p.bytes, p.pattern)
		} else {
			fmt.Println("gone", p.name, p.bytes)
		}
	}
	runtime.GC()
	runtime.GC()
	before := nPromises
	keepAfterCollection()
	for i := before; i < nPromises; i++ {
		p := &promises[i]
		puts(p.verb)
		puts(" ")
		puts(p.name)
		puts(" ")
		putn(uint64(p.bytes))
		puts(" ")
		puts(p.pattern)
		puts("\n")
		flush()
	}
	report()
	runtime.ReadMemStats(&stats)
	puts("heapalloc ")
	putn(stats.HeapAlloc)
	puts("\n")
	flush()
	if trash {
		garbage()
	}
	puts("READY\n")
	flush()
	for n := uint64(1); ; {
		select {
		case s := <-sigs:
			if s == syscall.SIGUSR1 {
				report()
			} else {
				garbage()
			}
		case <-ticks:
			ticked()
			name := bad()
			puts("tick ")
			putn(n)
			if name == "" {
				puts(" checksum ok\n")
			} else {
				puts(" BAD ")
				puts(name)
				puts("\n")
			}
			flush()
			n++
		}
	}
}
