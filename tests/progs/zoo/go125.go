//go:build go1.25
// +build go1.25

package main

import "runtime"

// The unique package's map lets go of a value with the collection that finds it dead.  Before, its own clean-up came
// some time later, or never.
const uniqueDrops = true

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
