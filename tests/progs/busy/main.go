// Busy never sits still: eight goroutines allocate, grow maps, start goroutines, grow and shrink
// stacks, arm timers, send signals, make system calls, read the clock, panic and recover, and
// move pointers about, while collections run.  Its memory stays within bounds.
//
// Every one of them keeps data that it can tell whole from damaged, and looks at it all the time:
// damage is printed at once as "BAD ..." and ends the program.  On SIGUSR2 each looks once more,
// from the start, and then the program prints "checksums ok N" (N: rounds so far).
//
//	-live MB    memory with pointers that stays (8)
//	-noscan MB  memory without (48)
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// A worker does one round of its work after the other; check looks at what it keeps.
type worker struct {
	name  string
	round func(r *rng)
	check func() string // "" or what is wrong
	n     uint64        // rounds with their check
}

var workers []*worker

type rng uint64

func (r *rng) next() uint64 {
	x := uint64(*r)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = rng(x)
	return x * 0x2545f4914f6cdd1d
}

func (r *rng) below(n int) int { return int(r.next() >> 1 % uint64(n)) }

func bad(name, what string) {
	os.Stdout.WriteString("BAD " + name + ": " + what + "\n")
	os.Exit(3)
}

func (w *worker) run(seed uint64) {
	r := rng(seed)
	for {
		w.round(&r)
		if what := w.check(); what != "" {
			bad(w.name, what)
		}
		atomic.AddUint64(&w.n, 1)
	}
}

// verify waits until every worker has done a whole round, with its check, that began after now.
func verify() {
	var then [16]uint64
	for i, w := range workers {
		then[i] = atomic.LoadUint64(&w.n)
	}
	deadline := time.Now().Add(60 * time.Second)
	sum := uint64(0)
	for i, w := range workers {
		for atomic.LoadUint64(&w.n) < then[i]+2 {
			if time.Now().After(deadline) {
				bad(w.name, "no round in a minute")
			}
			time.Sleep(time.Millisecond)
		}
		sum += atomic.LoadUint64(&w.n)
	}
	fmt.Printf("checksums ok %d\n", sum)
}

func main() {
	live := flag.Int("live", 8, "MB with pointers")
	noscan := flag.Int("noscan", 48, "MB without pointers")
	flag.Parse()

	sigs := make(chan os.Signal, 16)
	signal.Notify(sigs, syscall.SIGUSR2)

	g := newGraph(*live << 20 / int(graphNodeSize))
	b := newBlocks(*noscan)
	m := &maps{}
	s := &spawner{}
	d := &diver{}
	t := &timers{}
	k := newSignals()
	y := newSyscalls()
	u := &unwinder{}
	workers = []*worker{
		{name: "graph", round: g.round, check: g.check},
		{name: "blocks", round: b.round, check: b.check},
		{name: "maps", round: m.round, check: m.check},
		{name: "spawner", round: s.round, check: s.check},
		{name: "diver", round: d.round, check: d.check},
		{name: "timers", round: t.round, check: t.check},
		{name: "signals", round: k.round, check: k.check},
		{name: "unwinder", round: u.round, check: u.check},
		{name: "syscalls", round: y.round, check: y.check},
	}
	for i, w := range workers {
		go w.run(uint64(i+1) * 0x9e3779b97f4a7c15)
	}
	go collector()
	fmt.Println("READY")
	for range sigs {
		verify()
	}
}

func collector() {
	for {
		time.Sleep(300 * time.Millisecond)
		runtime.GC()
	}
}
