// Moving allocates on one thread all the time, while another one enters ticked() ten times a second: a stop that holds
// only the thread that ticks is no moment of its heap.
package main

import (
	"runtime/debug"
	"time"
)

var slots [1 << 14][]byte

//go:noinline
func ticked() {}

func main() {
	debug.SetGCPercent(-1) // a collection would wait for the thread that is held, and everything with it
	go func() {
		for i := 0; ; i++ {
			slots[i%len(slots)] = make([]byte, 64)
			if i%16 == 0 {
				time.Sleep(time.Microsecond)
			}
		}
	}()
	for range time.Tick(100 * time.Millisecond) {
		ticked()
	}
}
