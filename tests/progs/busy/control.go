package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// spawner: short-lived goroutines that hand values on through channels.
type spawner struct{ wrong string }

type parcel struct {
	n    int
	next *parcel
}

func (s *spawner) round(r *rng) {
	const n = 64
	in, out := make(chan *parcel), make(chan *parcel, 3)
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			p := <-in
			q := &parcel{p.n + i, p}
			select {
			case out <- q:
			case <-time.After(time.Minute):
			}
		}(i)
	}
	go func() {
		for i := 0; i < n; i++ {
			in <- &parcel{n: i}
		}
		wg.Wait()
		close(out)
	}()
	sum := 0
	for p := range out {
		sum += p.n
	}
	if sum != n*(n-1) {
		s.wrong = fmt.Sprintf("sum %d", sum)
	}
}

func (s *spawner) check() string { return s.wrong }

// diver: stacks that grow deep, in a fresh goroutine each time so that they are copied again.
type diver struct{ wrong string }

type rope struct {
	n    int
	prev *rope
}

//go:noinline
func dive(n int, up *rope, pad [8]uint64) int {
	if n == 0 {
		sum := 0
		for ; up != nil; up = up.prev {
			sum += up.n
		}
		return sum
	}
	pad[n%8] ^= uint64(n)
	here := rope{n, up} // on the stack: its address moves when the stack does
	r := dive(n-1, &here, pad)
	if here.n != n {
		return -1
	}
	return r
}

func (d *diver) round(r *rng) {
	depth := 10 + r.below(3000)
	ch := make(chan int)
	go func() { ch <- dive(depth, nil, [8]uint64{}) }()
	if got := <-ch; got != depth*(depth+1)/2 {
		d.wrong = fmt.Sprintf("depth %d: %d", depth, got)
	}
}

func (d *diver) check() string { return d.wrong }

// timers: armed, stopped, reset; a few that fire.
type timers struct {
	fired int64
	want  int64
	kept  [32]*time.Timer
}

func (t *timers) round(r *rng) {
	for i := 0; i < 50; i++ {
		j := r.below(len(t.kept))
		if t.kept[j] != nil {
			t.kept[j].Stop()
		}
		p := &parcel{n: j}
		t.kept[j] = time.AfterFunc(time.Duration(1+r.below(1000))*time.Hour, func() { p.n++ })
	}
	done := make(chan bool)
	t.want++
	p := &parcel{n: 1}
	time.AfterFunc(time.Duration(r.below(500))*time.Microsecond, func() {
		atomic.AddInt64(&t.fired, int64(p.n))
		close(done)
	})
	tick := time.NewTicker(time.Millisecond)
	<-tick.C
	tick.Stop()
	<-done
}

func (t *timers) check() string {
	if atomic.LoadInt64(&t.fired) != t.want {
		return "a timer did not fire once"
	}
	return ""
}

// signals: sent to ourselves; their handler runs on the signal stack.
type signals struct {
	ch    chan os.Signal
	wrong string
}

func newSignals() *signals {
	s := &signals{ch: make(chan os.Signal, 1)}
	signal.Notify(s.ch, syscall.SIGUSR1)
	return s
}

func (s *signals) round(r *rng) {
	for i := 0; i < 10; i++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		<-s.ch
	}
}

func (s *signals) check() string { return s.wrong }

// syscalls: pipes between two goroutines, the clock (which the vDSO reads), small calls.
type syscalls struct {
	r, w  *os.File
	wrong string
	last  time.Time
}

func newSyscalls() *syscalls {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	return &syscalls{r: r, w: w}
}

func (s *syscalls) round(r *rng) {
	msg := make([]byte, 100+r.below(4000))
	for i := range msg {
		msg[i] = byte(i)
	}
	go s.w.Write(msg)
	got := make([]byte, len(msg))
	for n := 0; n < len(got); {
		k, err := s.r.Read(got[n:])
		if err != nil {
			s.wrong = err.Error()
			return
		}
		n += k
	}
	if string(got) != string(msg) {
		s.wrong = "pipe"
	}
	for i := 0; i < 2000; i++ {
		now := time.Now()
		if now.Before(s.last) {
			s.wrong = "clock"
		}
		s.last = now
	}
	for i := 0; i < 100; i++ {
		syscall.Getppid()
	}
}

func (s *syscalls) check() string { return s.wrong }

// unwinder: defers, panics, recovers, closures, Goexit.
type unwinder struct {
	sum   int
	wrong string
}

type failure struct {
	depth int
	cause error
}

func (f *failure) Error() string { return "failure" }

//go:noinline
func (u *unwinder) fall(n int) (ret int) {
	defer func() {
		if e := recover(); e != nil {
			f := e.(*failure)
			ret += f.depth
			if n%3 == 0 {
				panic(&failure{f.depth + 1, f})
			}
		}
	}()
	for i := 0; i < n%4; i++ {
		p := &parcel{n: i}
		defer func() { u.sum += p.n }()
	}
	if n == 0 {
		panic(&failure{1, errors.New("bottom")})
	}
	return u.fall(n-1) + 1
}

func (u *unwinder) round(r *rng) {
	for i := 0; i < 20; i++ {
		if got := u.top(20); got != 21 {
			u.wrong = fmt.Sprintf("unwound to %d", got)
		}
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.Goexit()
	}()
	<-done
	var n interface{} = r.below(1000)
	for i := 0; i < 100; i++ {
		n = fmt.Sprint(n)
	}
	runtime.Gosched()
}

func (u *unwinder) top(n int) (ret int) {
	defer func() { recover() }()
	return u.fall(n)
}

func (u *unwinder) check() string { return u.wrong }
