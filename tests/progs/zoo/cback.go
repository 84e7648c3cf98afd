//go:build cgo && !noc
// +build cgo,!noc

package main

import "C"

//export zooCallback
func zooCallback(which C.int) {
	switch which {
	case onPark:
		onCPark()
	case onPause:
		onCPause()
	case onDeep:
		onCDeep()
	case onReturn:
		onCReturn()
	case onThreadPark:
		onCThreadPark()
	case onThreadPause:
		onCThreadPause()
	case onTop:
		onCTop()
	}
}

var zooReturned int

// What it had is nobody's when it is back in C.
//
//go:noinline
func onCReturn() {
	b := make([]byte, newPages())
	fill(b, nPromises)
	gone("onCReturn", uintptr(len(b)))
	zooReturned += int(b[len(b)-1])
}
