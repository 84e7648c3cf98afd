// Goroutines that wait: lostX ones can never be woken, keptX ones can.  Each kind has N of them (the argument; default 3).
// It says "waits FUNCTION leaked|waiting N" of each kind, and READY.  SIGUSR1: what Go 1.27's own profile of leaked
// goroutines says, "go FUNCTION N", and "go end".  SIGUSR2: the stacks as the runtime prints them, and "stacks end".
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type box struct {
	c, d chan int
	m    sync.Mutex
	rw   sync.RWMutex
	wg   sync.WaitGroup
	pad  [3]int
	cond *sync.Cond
	own  sync.Cond // by value, in the middle of an object
	next *box
}

func newBox() *box {
	b := &box{c: make(chan int), d: make(chan int)}
	b.cond = sync.NewCond(&sync.Mutex{})
	b.own.L = &b.m
	return b
}

// What the kept ones wait for.
var (
	shared = map[string]*box{}
	global sync.Mutex
	once   = make(chan int)
)

func keep(name string, i int) *box {
	b := newBox()
	shared[name+strconv.Itoa(i)] = b
	return b
}

//go:noinline
func lostSend(b *box) { b.c <- 1 }

//go:noinline
func keptSend(b *box) { b.c <- 1 }

//go:noinline
func lostReceive(b *box) { <-b.c }

//go:noinline
func keptReceive(b *box) { <-b.c }

//go:noinline
func lostRange(b *box) {
	for v := range b.c {
		fmt.Println(v)
	}
}

// The compiler puts inlinedReceive into lostInlined.
func inlinedReceive(b *box) int { return <-b.c + 1 }

//go:noinline
func lostInlined(b *box) {
	fmt.Println(
		inlinedReceive(b))
}

//go:noinline
func lostSelect(b *box) {
	select {
	case <-b.c:
	case b.d <- 1:
	}
}

//go:noinline
func keptSelect(b *box, c chan int) {
	select {
	case <-c:
	case b.d <- 1:
	}
}

//go:noinline
func lostEmptySelect() { select {} }

//go:noinline
func lostNilReceive(c chan int) { <-c }

//go:noinline
func lostNilSend(c chan int) { c <- 1 }

//go:noinline
func lostMutex(b *box) { b.m.Lock() }

//go:noinline
func keptMutex(b *box) { b.m.Lock() }

//go:noinline
func keptGlobalMutex() { global.Lock() }

//go:noinline
func lostWriter(b *box) { b.rw.Lock() }

//go:noinline
func keptWriter(b *box) { b.rw.Lock() }

//go:noinline
func lostReader(b *box) { b.rw.RLock() }

//go:noinline
func keptReader(b *box) { b.rw.RLock() }

//go:noinline
func lostWaitGroup(b *box) { b.wg.Wait() }

//go:noinline
func keptWaitGroup(b *box) { b.wg.Wait() }

//go:noinline
func lostCond(b *box) {
	b.cond.L.Lock()
	b.cond.Wait()
}

//go:noinline
func keptCond(b *box) {
	b.cond.L.Lock()
	b.cond.Wait()
}

//go:noinline
func lostInnerCond(b *box) {
	b.own.L.Lock()
	b.own.Wait()
}

//go:noinline
func keptInnerCond(b *box) {
	b.own.L.Lock()
	b.own.Wait()
}

// Two that wait for each other.
//
//go:noinline
func lostPair(mine, other *box) {
	<-mine.c
	other.c <- 1
}

// A chain: the first can be woken, and wakes the next.
//
//go:noinline
func keptChain(mine, next *box) {
	<-mine.c
	next.c <- 1
}

//go:noinline
func lostContext(ctx context.Context) { <-ctx.Done() }

//go:noinline
func keptContext(ctx context.Context) { <-ctx.Done() }

//go:noinline
func keptDeadline(ctx context.Context) { <-ctx.Done() }

//go:noinline
func keptTimer(b *box) {
	select {
	case <-b.c:
	case <-time.After(time.Hour):
	}
}

//go:noinline
func keptSleep(b *box) {
	time.Sleep(time.Hour)
	<-b.c
}

// What a sleeper holds can be woken by it.
//
//go:noinline
func keptBySleeper(b *box) { <-b.c }

//go:noinline
func keptAccept(l net.Listener) { l.Accept() }

type key struct{}

func each(n int, name, verdict string, start func(i int)) {
	for i := 0; i < n; i++ {
		start(i)
	}
	fmt.Println("waits", "main."+name, verdict, n)
}

func startLost(n int) {
	each(n, "lostSend", "leaked", func(int) { go lostSend(newBox()) })
	each(n, "lostReceive", "leaked", func(int) { go lostReceive(newBox()) })
	each(n, "lostRange", "leaked", func(int) { go lostRange(newBox()) })
	each(n, "inlinedReceive", "leaked", func(int) { go lostInlined(newBox()) })
	each(n, "lostSelect", "leaked", func(int) { go lostSelect(newBox()) })
	each(n, "lostEmptySelect", "leaked", func(int) { go lostEmptySelect() })
	each(n, "lostNilReceive", "leaked", func(int) { go lostNilReceive(nil) })
	each(n, "lostNilSend", "leaked", func(int) { go lostNilSend(nil) })
	each(n, "lostMutex", "leaked", func(int) { b := newBox(); b.m.Lock(); go lostMutex(b) })
	each(n, "lostWriter", "leaked", func(int) { b := newBox(); b.rw.RLock(); go lostWriter(b) })
	each(n, "lostReader", "leaked", func(int) { b := newBox(); b.rw.Lock(); go lostReader(b) })
	each(n, "lostWaitGroup", "leaked", func(int) { b := newBox(); b.wg.Add(1); go lostWaitGroup(b) })
	each(n, "lostCond", "leaked", func(int) { go lostCond(newBox()) })
	each(n, "lostInnerCond", "leaked", func(int) { go lostInnerCond(newBox()) })
	each(n, "lostPair", "leaked", func(i int) {
		if i%2 == 1 || i == n-1 {
			a, b := newBox(), newBox()
			go lostPair(a, b)
			if i%2 == 1 {
				go lostPair(b, a)
			}
		}
	})
	each(n, "lostContext", "leaked", func(int) {
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, 1))
		_ = cancel
		go lostContext(ctx)
	})
}

func startKept(n int) {
	each(n, "keptSend", "waiting", func(i int) { go keptSend(keep("send", i)) })
	each(n, "keptReceive", "waiting", func(i int) { go keptReceive(keep("receive", i)) })
	each(n, "keptSelect", "waiting", func(i int) { go keptSelect(newBox(), once) })
	each(n, "keptMutex", "waiting", func(i int) { b := keep("mutex", i); b.m.Lock(); go keptMutex(b) })
	global.Lock()
	each(n, "keptGlobalMutex", "waiting", func(int) { go keptGlobalMutex() })
	each(n, "keptWriter", "waiting", func(i int) { b := keep("writer", i); b.rw.RLock(); go keptWriter(b) })
	each(n, "keptReader", "waiting", func(i int) { b := keep("reader", i); b.rw.Lock(); go keptReader(b) })
	each(n, "keptWaitGroup", "waiting", func(i int) { b := keep("wg", i); b.wg.Add(1); go keptWaitGroup(b) })
	each(n, "keptCond", "waiting", func(i int) { go keptCond(keep("cond", i)) })
	each(n, "keptInnerCond", "waiting", func(i int) { go keptInnerCond(keep("inner", i)) })
	next := keep("chain", 0)
	each(n, "keptChain", "waiting", func(int) { b := newBox(); go keptChain(next, b); next = b })
	parent, cancel := context.WithCancel(context.Background())
	shared["cancel"] = &box{next: &box{}}
	cancels = append(cancels, cancel)
	each(n, "keptContext", "waiting", func(int) {
		ctx, cancel := context.WithCancel(parent)
		_ = cancel
		go keptContext(ctx)
	})
	each(n, "keptDeadline", "waiting", func(int) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		_ = cancel
		go keptDeadline(ctx)
	})
	each(n, "keptTimer", "waiting", func(int) { go keptTimer(newBox()) })
	held := make([]*box, n)
	each(n, "keptSleep", "waiting", func(i int) { held[i] = newBox(); go keptSleep(held[i]) })
	each(n, "keptBySleeper", "waiting", func(i int) { go keptBySleeper(held[i]) })
	each(n, "keptAccept", "waiting", func(int) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		go keptAccept(l)
	})
}

var cancels []context.CancelFunc

// ownProfile counts the leaked goroutines of a profile's text ("goroutine 7 [chan send (leaked)]:", then its stack) by
// their innermost function of this program.
func ownProfile(text string) map[string]int {
	count := map[string]int{}
	for _, one := range strings.Split(text, "\n\n") {
		lines := strings.Split(strings.TrimSpace(one), "\n")
		if !strings.Contains(lines[0], "leaked") {
			continue
		}
		for _, line := range lines {
			if strings.HasPrefix(line, "main.") {
				count[line[:strings.Index(line, "(")]]++
				break
			}
		}
	}
	return count
}

//go:noinline
func ready() { fmt.Println("READY") }

func main() {
	n := 3
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	usr := make(chan os.Signal, 1)
	signal.Notify(usr, syscall.SIGUSR1, syscall.SIGUSR2)
	startLost(n)
	startKept(n)
	time.Sleep(300 * time.Millisecond)
	runtime.GC()
	ready()
	go answer(usr)
	select {} // as many mains end: nothing wakes it, and it is no leak
}

func answer(usr chan os.Signal) {
	for sig := range usr {
		if sig == syscall.SIGUSR2 {
			stacks := make([]byte, 1<<20)
			fmt.Printf("%s\nstacks end\n", stacks[:runtime.Stack(stacks, true)])
			continue
		}
		for name, k := range ownProfile(leakProfile()) {
			fmt.Println("go", name, k)
		}
		fmt.Println("go end")
	}
}
