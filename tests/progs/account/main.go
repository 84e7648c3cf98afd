// Account makes garbage, holes, stacks and idle spans, reads runtime.MemStats once, and then does nothing that
// allocates: what is read of it from outside must be what it prints.
//
//	account [garbage|holes|gcoff]
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

type node struct {
	next *node
	data []byte
}

var (
	keep  []*node
	holes []*[512]byte
	stats runtime.MemStats
	out   [4096]byte
	big   []byte
	ts    syscall.Timespec
)

//go:noinline
func deep(n int, c chan int) int {
	var pad [64]int
	if n == 0 {
		return <-c
	}
	pad[n%64] = n
	return deep(n-1, c) + pad[(n+1)%64]
}

func put(b []byte, name string, v uint64) []byte {
	b = append(b, name...)
	b = append(b, '=')
	b = strconv.AppendUint(b, v, 10)
	return append(b, ' ')
}

func main() {
	for i := 0; i < 20000; i++ {
		keep = append(keep, &node{data: make([]byte, 100+i%900)})
		if i > 0 && i%2 == 0 {
			keep[i].next = keep[i-1]
		}
	}
	big = make([]byte, 10<<20+12345)
	for i := 0; i < 20000; i++ {
		holes = append(holes, new([512]byte))
	}
	for i := range holes { // every other slot is free
		if i%2 == 1 {
			holes[i] = nil
		}
	}
	c := make(chan int)
	for i := 0; i < 200; i++ {
		go deep(i, c)
	}
	time.Sleep(50 * time.Millisecond)
	idle := make([][]byte, 64)
	for i := range idle {
		idle[i] = make([]byte, 256<<10)
	}
	runtime.KeepAlive(idle)
	idle = nil
	debug.FreeOSMemory() // or the scavenger goes on after the reading
	runtime.GC()
	time.Sleep(200 * time.Millisecond)
	// From here on nothing is allocated.  A first reading makes what readings need.
	runtime.ReadMemStats(&stats)
	runtime.ReadMemStats(&stats)
	b := append(out[:0], "memstats "...)
	b = put(b, "HeapAlloc", stats.HeapAlloc)
	b = put(b, "HeapInuse", stats.HeapInuse)
	b = put(b, "HeapIdle", stats.HeapIdle)
	b = put(b, "HeapReleased", stats.HeapReleased)
	b = put(b, "HeapSys", stats.HeapSys)
	b = put(b, "StackInuse", stats.StackInuse)
	b = put(b, "StackSys", stats.StackSys)
	b = put(b, "MSpanInuse", stats.MSpanInuse)
	b = put(b, "MSpanSys", stats.MSpanSys)
	b = put(b, "MCacheInuse", stats.MCacheInuse)
	b = put(b, "MCacheSys", stats.MCacheSys)
	b = put(b, "BuckHashSys", stats.BuckHashSys)
	b = put(b, "GCSys", stats.GCSys)
	b = put(b, "OtherSys", stats.OtherSys)
	b = put(b, "Sys", stats.Sys)
	b = append(b, "\nREADY\n"...)
	syscall.Write(1, b)
	if len(os.Args) > 5 {
		println(len(keep), len(holes), len(big))
	}
	for {
		ts = syscall.Timespec{Sec: 3600}
		syscall.Nanosleep(&ts, nil) // time.Sleep may allocate
	}
}
