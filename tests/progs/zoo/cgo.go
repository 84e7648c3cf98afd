//go:build cgo
// +build cgo

package main

import "runtime/cgo"

var zooHandle cgo.Handle

//go:noinline
func keepCgo() {
	zooHandle = cgo.NewHandle(&holder{1, pay("cgoHandle", `^runtime/cgo\.handles\b`)})
}
