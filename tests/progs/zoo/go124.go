//go:build go1.24
// +build go1.24

package main

import (
	"runtime"
	"unsafe"
	"weak"
)

type (
	big22 [22 * page / 8]uint64
	big19 [19 * page / 8]uint64
)

type cleanupArg struct{ arg []byte }

var (
	zooWeak       weak.Pointer[big22]
	zooWeakStrong weak.Pointer[big19]
	zooStrong     *big19
	zooCleanedUp  *holder
)

//go:noinline
func keepGo24() {
	zooWeak = weak.Make(new(big22))
	gone("weakGone", unsafe.Sizeof(big22{}))
	zooStrong = new(big19)
	zooWeakStrong = weak.Make(zooStrong)
	keepVar("zooStrong", unsafe.Pointer(zooStrong), unsafe.Sizeof(*zooStrong))
	zooCleanedUp = &holder{n: 1}
	arg := &cleanupArg{pay("cleanupArg", `^runtime\.AddCleanup\.(fn|arg)\b`)}
	runtime.AddCleanup(zooCleanedUp, func(c *cleanupArg) { use(c.arg) }, arg)
	b := pay("cleanupFn", `^runtime\.AddCleanup\.(fn|arg)\b`)
	runtime.AddCleanup(zooCleanedUp, func(int) { use(b) }, 1)
}
