package main

import (
	"context"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

var (
	zooSendCh    = make(chan []byte)
	zooSelectCh1 = make(chan []byte)
	zooSelectCh2 = make(chan []byte)
	zooMutex     sync.Mutex
	zooCond      = sync.NewCond(&sync.Mutex{})
)

//go:noinline
func keepStacks() {
	hold(gorLocal)
	go gorParam(1, payFunc("gorParam"), 2)
	<-started
	go gorParamStruct(holder{1, payFunc("gorParamStruct")})
	<-started
	hold((&holder{1, pay("gorReceiver", `(^|;)main\.\(\*holder\)\.gorReceiver\b`)}).gorReceiver)
	hold(gorInterior)
	hold(gorString)
	hold(gorIface)
	hold(gorStackObject)
	hold(gorHeapVar)
	hold(gorSelect)
	hold(gorDefer)
	hold(gorDeferLoop)
	hold(gorDeferArg)
	hold(gorPanic)
	hold(gorRecover)
	hold(gorDeep)
	hold(gorCond)
	hold(gorLabels)
	go chanSender(payFunc("chanSender"))
	go selectSender(payFunc("selectSender"))
	go gorSleep()
	<-started
	zooMutex.Lock()
	go gorMutex()
	<-started
	go gorSyscall()
	<-started
	captured()
	time.Sleep(50 * time.Millisecond) // until all of them are where they stay
}

//go:noinline
func gorLocal() {
	b := payFunc("gorLocal")
	park()
	use(b)
}

//go:noinline
func gorParam(x int, b []byte, y int) {
	park()
	use(b)
}

//go:noinline
func gorParamStruct(h holder) {
	park()
	use(h.data)
}

//go:noinline
func (h *holder) gorReceiver() {
	park()
	use(h.data)
}

//go:noinline
func gorInterior() {
	b := payFunc("gorInterior")
	p := &b[len(b)-100]
	b = nil
	park()
	*p++
}

//go:noinline
func gorString() {
	s := payString("gorString", `(^|;)main\.gorString\b`)
	park()
	println(s[:1])
}

//go:noinline
func gorIface() {
	var s shape = &square{1, payFunc("gorIface")}
	if len(promises) == 0 {
		s = boxed{}
	}
	park()
	println(s.area())
}

type stackObject struct {
	pad  [5]int
	data []byte
	more [5]int
}

//go:noinline
func (o *stackObject) set(b []byte) { o.data = b }

// The pointer is in an object on the stack, which only its address leads to.
//
//go:noinline
func gorStackObject() {
	var o stackObject
	p := &o
	p.set(payFunc("gorStackObject"))
	park()
	p.set(p.data[:1])
	use(p.data)
}

// The variable is on the heap: a closure changes it.
//
//go:noinline
func gorHeapVar() {
	b := payFunc("gorHeapVar")
	f := func() { b = nil }
	keepFunc(f)
	park()
	use(b)
	f()
}

//go:noinline
func keepFunc(f func()) {
	if len(promises) == 0 {
		zooClosure = f
	}
}

//go:noinline
func gorSelect() {
	b := payFunc("gorSelect")
	started <- true
	select {
	case <-never:
	case c := <-zooSelectCh1:
		use(c)
	}
	use(b)
}

//go:noinline
func gorDefer() {
	b := payFunc("gorDefer")
	defer func() { use(b) }()
	park()
}

// Defers in a loop are records on the heap.
//
//go:noinline
func gorDeferLoop() {
	for i := 0; i < 10; i++ {
		var b []byte
		if i == 5 {
			b = payFunc("gorDeferLoop")
		}
		defer func() {
			if b != nil {
				use(b)
			}
		}()
	}
	park()
}

//go:noinline
func gorDeferArg() {
	defer use(payFunc("gorDeferArg"))
	park()
}

// Stopped in a deferred function while panicking: the panic's value holds it.
//
//go:noinline
func gorPanic() {
	defer park()
	panic(boxed{1, pay("gorPanic", `(^|;)(main\.gorPanic|runtime\.gopanic|runtime\..*[pP]anic)\b`), 2})
}

// Recovered: the value is an ordinary one again.
//
//go:noinline
func gorRecover() {
	defer func() {
		r := recover()
		park()
		use(r.(*holder).data)
	}()
	panic(&holder{1, payFunc("gorRecover")})
}

// Thousands of frames, something at their bottom, in the middle and at the top.
//
//go:noinline
func gorDeep() {
	b := payFunc("gorDeep")
	deeper(5000)
	use(b)
}

//go:noinline
func deeper(n int) int {
	switch n {
	case 2500:
		return gorDeepMiddle(n)
	case 0:
		gorDeepTop()
		return 0
	}
	return deeper(n-1) + n
}

//go:noinline
func gorDeepMiddle(n int) int {
	b := pay("gorDeepMiddle", `(^|;)main\.gorDeepMiddle\b`)
	n += deeper(n - 1)
	use(b)
	return n
}

//go:noinline
func gorDeepTop() {
	b := pay("gorDeepTop", `(^|;)main\.gorDeepTop\b`)
	park()
	use(b)
}

//go:noinline
func gorCond() {
	b := payFunc("gorCond")
	zooCond.L.Lock()
	started <- true
	zooCond.Wait()
	use(b)
}

//go:noinline
func gorLabels() {
	s := payString("gorLabels", `(^runtime\.|^\[goroutines\];|(^|;)main\.gorLabels\b)`)
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("key", s)))
	s = ""
	park()
}

//go:noinline
func chanSender(b []byte) {
	zooSendCh <- b
}

//go:noinline
func selectSender(b []byte) {
	select {
	case zooSelectCh2 <- b:
	case zooSendCh <- b[1:]:
	}
}

//go:noinline
func gorSleep() {
	b := payFunc("gorSleep")
	started <- true
	time.Sleep(1000 * time.Hour)
	use(b)
}

//go:noinline
func gorMutex() {
	b := payFunc("gorMutex")
	started <- true
	zooMutex.Lock()
	use(b)
}

//go:noinline
func gorSyscall() {
	var fds [2]int
	b := payFunc("gorSyscall")
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	var buf [1]byte
	started <- true
	syscall.Read(fds[0], buf[:])
	use(b)
	use(buf[:])
}

// A goroutine's function that captures a variable of the function that started it.
//
//go:noinline
func captured() {
	b := pay("captured", `(^|;)main\.captured\b`)
	go func() {
		park()
		use(b)
	}()
	<-started
	runtime.KeepAlive(unsafe.Pointer(&b[0]))
}
