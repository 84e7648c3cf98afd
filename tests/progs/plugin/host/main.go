// A host of plugins: host PLUGIN...  Speaks as zoo does: keep, heapalloc, READY.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"plugin"
	"runtime"
	"runtime/debug"
	"syscall"
)

var (
	held []interface{}
	fns  []func() int
	own  []byte
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	debug.SetGCPercent(-1)
	for i, path := range os.Args[1:] {
		p, err := plugin.Open(path)
		check(err)
		start, err := p.Lookup("Start")
		check(err)
		h, fn := start.(func(int, string) (interface{}, func() int))(10+20*i, fmt.Sprint("plugin", i))
		held = append(held, h)
		fns = append(fns, fn)
	}
	own = make([]byte, 1024*8192) // what signals allocate later is little beside it
	fmt.Printf("keep own %d ^main\\.own$\n", len(own))
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGUSR1)
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	os.Stdout.WriteString("heapalloc ")
	fmt.Println(m.HeapAlloc)
	fmt.Println("READY")
	for range sig {
		fmt.Println("checksums ok")
	}
}
