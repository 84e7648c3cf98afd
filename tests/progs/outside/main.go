// outside has a small heap beside much memory that is not Go's: 200 MiB of C's malloc, 100 MiB of mmap; and a ballast of
// 1 GiB that it has never written to.
package main

/*
#include <stdlib.h>
#include <string.h>
static void *grab(size_t n) { void *p = malloc(n); memset(p, 1, n); return p; }
static void *grab_small(void) { void *p = NULL; for (int i = 0; i < 20000; i++) p = grab(1000); return p; }
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

type item struct {
	key   string
	value []byte
}

var (
	cache   = map[string]*item{}
	mapped  []byte
	ballast = make([]byte, 1<<30)
)

func main() {
	for i := 0; i < 50<<10; i++ {
		k := fmt.Sprint(i)
		v := make([]byte, 1000)
		for j := range v {
			v[j] = 1
		}
		cache[k] = &item{k, v}
	}
	p := C.grab(180 << 20)
	q := C.grab_small()
	mapped, _ = syscall.Mmap(-1, 0, 100<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	for i := 0; i < len(mapped); i += 4096 {
		mapped[i] = 1
	}
	runtime.GC()
	fmt.Println("READY", os.Getpid(), p != nil, q != nil)
	for {
		time.Sleep(time.Second)
	}
}
