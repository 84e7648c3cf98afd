//go:build go1.25
// +build go1.25

package main

import "runtime"

// A cleanup that runs and does not end.
//
//go:noinline
func keepGo25() {
	dropCleanup()
	runtime.GC()
	<-started
}

//go:noinline
func dropCleanup() {
	h := &holder{n: 1}
	runtime.AddCleanup(h, cleanupBlocks, pay("cleanupRunning", `(^|;)(main\.cleanupBlocks\b|runtime\.)`))
	h.n++
}

//go:noinline
func cleanupBlocks(b []byte) {
	park()
	use(b)
}
