// Spin has goroutines that never wait: each keeps a payload in its frame, and is somewhere else at every moment: in Go,
// in C, in Go called by C, in the race detector.  It prints
//
//	keep NAME BYTES PATTERN    as zoo does; what the function calls may hold it, too
//	READY
//
// and ends by itself after ten minutes.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const page = 8192

var (
	started   = make(chan bool)
	nextPages = 100
	turns     int64
)

func pay(name string) []byte {
	b := make([]byte, nextPages*page)
	nextPages++
	for i := range b {
		b[i] = byte(i * nextPages)
	}
	fmt.Printf("keep %s %d (^|;)main\\.%s\\b\n", name, len(b), name)
	return b
}

// touch does something with memory that the race detector is told of.
//
//go:noinline
func touch(b []byte, i int) {
	b[i%len(b)]++
	atomic.AddInt64(&turns, 1)
}

//go:noinline
func spinGo() {
	b := pay("spinGo")
	started <- true
	for i := 0; ; i++ {
		touch(b, i)
	}
}

type knot struct {
	next *knot
	data []byte
}

// The payload hangs on an object that is replaced all the time.
//
//go:noinline
func spinMake() {
	k := &knot{data: pay("spinMake")}
	started <- true
	for i := 0; ; i++ {
		k = &knot{nil, k.data}
		touch(k.data, i)
	}
}

//go:noinline
func dig(n int, b []byte) {
	if n > 0 {
		dig(n-1, b)
	}
	touch(b, n)
}

// Calls and returns.
//
//go:noinline
func spinDig() {
	b := pay("spinDig")
	started <- true
	for {
		dig(20, b)
	}
}

func hold(f func()) {
	go f()
	<-started
}

func main() {
	debug.SetGCPercent(400)
	hold(spinGo)
	hold(spinMake)
	hold(spinDig)
	holdC()
	fmt.Println("READY")
	time.Sleep(10 * time.Minute)
	os.Exit(1)
}
