// Swaps has a part of its own memory swapped out, as the first process of a machine that has a swap disk may, and reads it
// again after 20 seconds: "in again SUM".
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

type leaf [64]uint64

var (
	warm, cold *[8192]*leaf
	bytes      []uint64
)

//go:noinline
func fill() *[8192]*leaf {
	a := new([8192]*leaf)
	for i := range a {
		a[i] = &leaf{uint64(i)}
	}
	return a
}

func must(what string, err error) {
	if err != nil {
		fmt.Println("FAILED", what, err)
		os.Exit(1)
	}
}

// 21: MADV_PAGEOUT.
func out(p unsafe.Pointer, n uintptr) {
	_, _, e := syscall.Syscall(syscall.SYS_MADVISE, uintptr(p), n, 21)
	if e != 0 {
		must("madvise", e)
	}
}

func main() {
	os.Mkdir("/dev", 0o755)
	must("devtmpfs", syscall.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""))
	name, _ := syscall.BytePtrFromString("/dev/nvme0n1")
	for i := 0; ; i++ {
		_, _, e := syscall.Syscall(syscall.SYS_SWAPON, uintptr(unsafe.Pointer(name)), 0, 0)
		if e == 0 {
			break
		}
		if i == 100 {
			must("swapon", e)
		}
		time.Sleep(100 * time.Millisecond)
	}
	warm, cold, bytes = fill(), fill(), make([]uint64, 2<<20)
	for i := range bytes {
		bytes[i] = uint64(i)
	}
	runtime.GC()
	runtime.GC()
	out(unsafe.Pointer(&bytes[0]), 16<<20)
	out(unsafe.Pointer(cold), 8192*8)
	fmt.Println("READY")
	for i := 0; ; i++ {
		if i == 200 {
			sum := uint64(0)
			for _, l := range cold {
				sum += l[0]
			}
			fmt.Println("in again", sum)
		}
		time.Sleep(100 * time.Millisecond)
		fmt.Println("tick", i, "ok")
	}
}
