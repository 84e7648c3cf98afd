package main

import (
	"runtime"
	"sync"
	"time"
)

var (
	zooFinalized *holder
	zooPool      sync.Pool
)

//go:noinline
func keepRuntime() {
	b := pay("finalizerFn", `^runtime\.SetFinalizer\.fn\b`)
	zooFinalized = &holder{n: 1}
	runtime.SetFinalizer(zooFinalized, func(h *holder) { use(b) })
}

// The finalizer goroutine runs one finalizer for ever, so that others stay in the queue.
//
//go:noinline
func queueFinalizers() {
	dropRunning()
	runtime.GC()
	<-started
	dropQueued()
	time.Sleep(10 * time.Millisecond)
	runtime.GC()
	time.Sleep(10 * time.Millisecond)
}

//go:noinline
func dropRunning() {
	h := &holder{1, pay("finalizerRunning", `(^|;)(main\.finalizerBlocks\b|runtime\.)`)}
	runtime.SetFinalizer(h, finalizerBlocks)
}

//go:noinline
func finalizerBlocks(h *holder) {
	park()
	use(h.data)
}

// Types of their own, so that the two are told apart by the field's name.
type (
	queued   struct{ queued []byte }
	referent struct{ referent []byte }
)

//go:noinline
func dropQueued() {
	q := &queued{pay("finalizerQueued", `^runtime\.SetFinalizer\.(obj|queued)\b`)}
	runtime.SetFinalizer(q, func(*queued) {})
}

//go:noinline
func dropReferent() {
	r := &referent{pay("finalizerReferent", `^runtime\.SetFinalizer\.obj\b`)}
	runtime.SetFinalizer(r, func(*referent) {})
}

// What a collection would take away, or would put into a queue.
//
//go:noinline
func keepAfterCollection() {
	// Unreachable, not yet found to be so: what it refers to lives on.
	dropReferent()
	put(&zooPool, &holder{1, payVar("zooPool")})
	fillPool()
}

// A pool that only sync.allPools leads to.
//
//go:noinline
func fillPool() {
	p := new(sync.Pool)
	put(p, &holder{1, pay("poolOnly", `^sync\.allPools\b`)})
}

// put is heard: with -race a pool drops one in four.
func put(p *sync.Pool, h *holder) {
	for i := 0; i < 20; i++ {
		p.Put(h)
	}
}
