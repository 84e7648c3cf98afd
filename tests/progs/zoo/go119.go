//go:build go1.19
// +build go1.19

package main

import "sync/atomic"

var zooAtomicPointer atomic.Pointer[holder]

//go:noinline
func keepGo19() {
	zooAtomicPointer.Store(&holder{1, payVar("zooAtomicPointer")})
}
