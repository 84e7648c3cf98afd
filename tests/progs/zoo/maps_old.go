//go:build !go1.24 || (!go1.26 && !goexperiment.swissmap)
// +build !go1.24 !go1.26,!goexperiment.swissmap

package main

import "unsafe"

// growing: old buckets are still there (runtime/map.go: hmap.oldbuckets).
func growing(m map[int][]byte) bool {
	h := *(*unsafe.Pointer)(unsafe.Pointer(&m))
	return *(*unsafe.Pointer)(unsafe.Pointer(uintptr(h) + 24)) != nil
}
