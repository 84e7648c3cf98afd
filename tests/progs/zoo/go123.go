//go:build go1.23
// +build go1.23

package main

import (
	"iter"
	"runtime"
	"time"
	"unique"
	"unsafe"
)

var (
	zooUnique   unique.Handle[string]
	zooPullNext func() (int, bool)
)

func uniqueOf(pages int) unique.Handle[string] {
	b := make([]byte, pages*page)
	fill(b, nPromises)
	return unique.Make(string(b))
}

//go:noinline
func keepGo23() {
	zooUnique = uniqueOf(16)
	s := zooUnique.Value()
	keep("zooUnique", `^main\.zooUnique(;|$)`, unsafe.Pointer(unsafe.StringData(s)), uintptr(len(s)))
	if uniqueDrops {
		uniqueOf(17)
		gone("uniqueGone", 17*page)
	}
	// The map's own clean-up, before keepGo25 stops all clean-ups.
	for i := 0; i < 3; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	zooPullNext, _ = iter.Pull(pullSeq)
	zooPullNext()
}

// A goroutine that waits as a coroutine.
//
//go:noinline
func pullSeq(yield func(int) bool) {
	b := payFunc("pullSeq")
	yield(1)
	use(b)
}
