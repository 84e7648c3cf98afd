// Leaks is a small service with one mistake, which its first argument chooses:
//
//	cache		a map that nobody ever deletes from
//	goroutines	requests whose answer nobody reads
//	finalizer	a finalizer that waits for a lock, and all that come after it
//	garbage		no leak: the collector is off
//	holes		no leak: one object in sixteen survives, and keeps its span
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
)

type session struct {
	user  string
	token []byte
	seen  []time.Time
}

type store struct {
	mu   sync.Mutex
	byID map[string]*session
}

var sessions = &store{byID: map[string]*session{}}

func (s *store) open(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[strconv.Itoa(id)] = &session{user: "user" + strconv.Itoa(id), token: make([]byte, 256),
		seen: make([]time.Time, 4)}
}

func cache() {
	for i := 0; i < 20000; i++ {
		sessions.open(i)
	}
}

type answer struct {
	body []byte
}

//go:noinline
func fetch(id int, out chan<- *answer) {
	a := &answer{body: make([]byte, 8<<10)}
	out <- a // the caller has given up
}

//go:noinline
func request(id int) {
	out := make(chan *answer)
	go fetch(id, out)
	select {
	case <-out:
	default: // "timed out"
	}
}

func goroutines() {
	for i := 0; i < 2000; i++ {
		shop := "north"
		if i%4 == 0 {
			shop = "south"
		}
		pprof.Do(context.Background(), pprof.Labels("shop", shop, "handler", "/list"), func(context.Context) {
			request(i)
		})
	}
}

type handle struct {
	fd  int
	buf []byte
}

var closing sync.Mutex

//go:noinline
func (h *handle) release() {
	closing.Lock()
	defer closing.Unlock()
	h.buf = nil
}

func finalizer() {
	closing.Lock() // and never unlocked
	for i := 0; i < 3000; i++ {
		h := &handle{fd: i, buf: make([]byte, 4<<10)}
		runtime.SetFinalizer(h, (*handle).release)
	}
	for i := 0; i < 3; i++ {
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
}

var sink [][]byte

func garbage() {
	debug.SetGCPercent(-1)
	for i := 0; i < 4000; i++ {
		sink = append(sink[:0:0], make([]byte, 16<<10))
	}
	sink = nil
}

type record struct {
	next *record
	pad  [500]byte
}

var survivors []*record

func holes() {
	var all []*record
	for i := 0; i < 64000; i++ {
		all = append(all, &record{})
	}
	for i := 0; i < len(all); i += 16 {
		survivors = append(survivors, all[i])
	}
	all = nil
	runtime.GC()
}

func main() {
	modes := map[string]func(){"cache": cache, "goroutines": goroutines, "finalizer": finalizer, "garbage": garbage,
		"holes": holes}
	modes[os.Args[1]]()
	if os.Args[1] != "garbage" {
		runtime.GC()
	}
	time.Sleep(50 * time.Millisecond)
	if os.Args[1] == "goroutines" {
		runtime.GC() // notes since when they wait
	}
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	fmt.Println("heapalloc", ms.HeapAlloc, "goroutines", runtime.NumGoroutine())
	os.Stdout.WriteString("READY\n")
	for {
		time.Sleep(time.Hour)
	}
}
