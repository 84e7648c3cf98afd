package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Types with a size of their own.  Their numbers of pages are below those that newPages gives.
type (
	big6  [6 * page / 8]uint64
	big7  [7 * page / 8]uint64
	big8  [8 * page / 8]uint64
	big9  [9 * page / 8]uint64
	big10 [10 * page / 8]uint64
	big11 [11 * page / 8]uint64
	big12 [12 * page / 8]uint64
	big13 struct {
		head *big13
		body [13*page/word - 2]uintptr
		tail *big13
	}
	big14 [14 * page / 8]uint64
	big15 [15 * page / 8]uint64
)

func keepVar(name string, p unsafe.Pointer, size uintptr) {
	fill((*[1 << 30]byte)(p)[:size:size], nPromises)
	keep(name, `^main\.`+name+`(;|$)`, p, size)
}

type inner struct {
	n    int
	deep struct {
		pad  [3]int
		data []byte
	}
}

type outer struct {
	name string
	mid  struct {
		in  inner
		ptr *inner
	}
}

type shape interface{ area() int }

type square struct {
	side int
	data []byte
}

func (s *square) area() int { return s.side }

type boxed struct {
	n    int
	data []byte
	m    int
}

func (b boxed) area() int { return b.n }

type node struct {
	next *node
	data unsafe.Pointer
}

type link struct {
	next, prev *link
	data       []byte
}

type tree struct {
	left, right *tree
	data        []byte
}

type row struct {
	n    int
	data []byte
}

var (
	zooSlice          []byte
	zooSliceOfSlices  [][]byte
	zooSliceFar       [][]byte
	zooSliceOfStructs []row
	zooArray          [4]*big6
	zooArrayOfStructs [5]row
	zooStruct         outer
	zooStructPtr      *outer
	zooPtrPtr         ***big7
	zooIfacePtr       interface{}
	zooIfaceBoxed     interface{}
	zooIfaceItab      shape
	zooIfaceItabBoxed shape
	zooIfaceSlice     []interface{}
	zooString         string
	zooSubstring      string
	zooSubslice       []byte
	zooInterior       *byte
	zooInteriorEnd    *byte
	zooInteriorPtr    **big13
	zooPointerful     []cell
	zooUnsafe         unsafe.Pointer
	zooUnsafeInterior unsafe.Pointer
	zooList           *node
	zooRing           *link
	zooTree           *tree
	zooSparse         []*big10
	zooBytesBuffer    bytes.Buffer
	zooBuilder        strings.Builder
	zooError          error
	zooContext        context.Context
	zooAtomicValue    atomic.Value
	zooSyncMap        sync.Map
	zooTimer          *time.Timer
	zooChan           chan []byte
	zooChanWrapped    chan row
	zooChanOfPtr      chan *big11
	zooSmall          []*[6]uint64
)

//go:noinline
func keepData() {
	zooSlice = payVar("zooSlice")
	zooSliceOfSlices = make([][]byte, 7)
	zooSliceOfSlices[3] = payVar("zooSliceOfSlices")
	zooSliceFar = make([][]byte, 50)
	zooSliceFar[49] = payVar("zooSliceFar")
	zooSliceOfStructs = make([]row, 20)
	zooSliceOfStructs[12].data = payVar("zooSliceOfStructs")
	zooArray[2] = new(big6)
	keepVar("zooArray", unsafe.Pointer(zooArray[2]), unsafe.Sizeof(big6{}))
	zooArrayOfStructs[4].data = payVar("zooArrayOfStructs")
	zooStruct.mid.in.deep.data = payVar("zooStruct")
	zooStructPtr = &outer{name: "ptr"}
	zooStructPtr.mid.ptr = &inner{}
	zooStructPtr.mid.ptr.deep.data = payVar("zooStructPtr")
	b7 := new(big7)
	pb7 := &b7
	zooPtrPtr = &pb7
	keepVar("zooPtrPtr", unsafe.Pointer(b7), unsafe.Sizeof(*b7))

	b8 := new(big8)
	zooIfacePtr = b8
	keepVar("zooIfacePtr", unsafe.Pointer(b8), unsafe.Sizeof(*b8))
	zooIfaceBoxed = boxed{n: 1, data: payVar("zooIfaceBoxed")}
	zooIfaceItab = &square{1, payVar("zooIfaceItab")}
	zooIfaceItabBoxed = boxed{n: 2, data: payVar("zooIfaceItabBoxed")}
	zooIfaceSlice = []interface{}{1, "two", payVar("zooIfaceSlice")}

	zooString = payString("zooString", `^main\.zooString(;|$)`)
	s := payString("zooSubstring", `^main\.zooSubstring(;|$)`)
	zooSubstring = s[len(s)/2 : len(s)/2+10]
	b := payVar("zooSubslice")
	zooSubslice = b[len(b)-16 : len(b)-8]
	b = payVar("zooInterior")
	zooInterior = &b[len(b)/2+3]
	b = payVar("zooInteriorEnd")
	zooInteriorEnd = &b[len(b)-1]
	b13 := new(big13)
	b13.head, b13.tail = b13, b13
	for i := range b13.body {
		b13.body[i] = uintptr(i)
	}
	zooInteriorPtr = &b13.tail
	keep("zooInteriorPtr", `^main\.zooInteriorPtr(;|$)`, unsafe.Pointer(b13), unsafe.Sizeof(*b13))
	zooPointerful = payCells("zooPointerful", `^main\.zooPointerful(;|$)`)
	zooUnsafe = unsafe.Pointer(&payVar("zooUnsafe")[0])
	b = payVar("zooUnsafeInterior")
	zooUnsafeInterior = unsafe.Pointer(&b[len(b)/3])

	makeList()
	first := &link{}
	last := first
	for i := 0; i < 100; i++ {
		last.next = &link{prev: last}
		last = last.next
	}
	last.next, first.prev = first, last
	last.prev.data = payVar("zooRing")
	zooRing = first
	zooTree = makeTree(8)
	t := zooTree
	for i := 0; t.left != nil; i++ {
		if i%2 == 0 {
			t = t.left
		} else {
			t = t.right
		}
	}
	t.data = payVar("zooTree")
	makeSparse()
	zooBytesBuffer = *bytes.NewBuffer(payVar("zooBytesBuffer"))
	*(*[]byte)(unsafe.Pointer(uintptr(unsafe.Pointer(&zooBuilder)) + word)) = payVar("zooBuilder")
	zooError = fmt.Errorf("a: %w", fmt.Errorf("b: %w", &payError{payVar("zooError")}))
	makeContext()
	zooAtomicValue.Store(payVar("zooAtomicValue"))
	for i := 0; i < 100; i++ {
		zooSyncMap.Store(i, i)
	}
	zooSyncMap.Store("key", payVar("zooSyncMap"))
	makeTimers()
	makeChans()
	zooSmall = make([]*[6]uint64, page/word)
	for i := range zooSmall {
		zooSmall[i] = &[6]uint64{uint64(i)}
	}
	total("zooSmall", `^main\.zooSmall(;|$)`, page+page/word*48, unsafe.Pointer(&zooSmall[0]), page)
}

const listLen = 100000

// A list's payload hangs on its last node, far below the depth at which paths are cut.
func makeList() {
	b := make([]byte, newPages())
	fill(b, nPromises)
	zooList = &node{data: unsafe.Pointer(&b[0])}
	for i := 1; i < listLen; i++ {
		zooList = &node{next: zooList}
	}
	total("zooList", `^main\.zooList(;|$)`, listLen*unsafe.Sizeof(node{})+uintptr(len(b)),
		unsafe.Pointer(&b[0]), uintptr(len(b)))
}

func makeTree(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{left: makeTree(depth - 1), right: makeTree(depth - 1)}
}

func makeSparse() {
	zooSparse = make([]*big10, 4<<20/word)
	p := new(big10)
	zooSparse[len(zooSparse)-7] = p
	zooSparse[12345] = p
	fill((*[unsafe.Sizeof(*p)]byte)(unsafe.Pointer(p))[:], nPromises)
	total("zooSparse", `^main\.zooSparse(;|$)`, uintptr(len(zooSparse))*word+unsafe.Sizeof(*p),
		unsafe.Pointer(p), unsafe.Sizeof(*p))
}

type payError struct{ data []byte }

func (e *payError) Error() string { return "pay" }

type ctxKey int

// The payload is the value nearest to the root of a chain of 50.
func makeContext() {
	ctx := context.WithValue(context.Background(), ctxKey(0), payVar("zooContext"))
	for i := 1; i < 50; i++ {
		if i%5 == 0 {
			ctx, _ = context.WithCancel(ctx)
		}
		ctx = context.WithValue(ctx, ctxKey(i), i)
	}
	zooContext = ctx
}

func use(b []byte) { b[0]++ }

func makeTimers() {
	b := payVar("zooTimer")
	zooTimer = time.AfterFunc(24*time.Hour, func() { use(b) })
	timerOnly()
}

// Nothing but the runtime's own list of timers knows this one; since 1.23 every timer leads there.
func timerOnly() {
	b := pay("timerOnly", `(^runtime\.|^main\.zooTimer;|(^|;)main\.timerOnly\b)`)
	time.AfterFunc(24*time.Hour, func() { use(b) })
}

func makeChans() {
	zooChan = make(chan []byte, 5)
	zooChan <- nil
	zooChan <- payVar("zooChan")
	zooChanWrapped = make(chan row, 4)
	for i := 0; i < 3; i++ {
		zooChanWrapped <- row{n: i}
	}
	for i := 0; i < 3; i++ {
		<-zooChanWrapped
	}
	zooChanWrapped <- row{n: 7}
	zooChanWrapped <- row{8, payVar("zooChanWrapped")} // slot 0
	zooChanOfPtr = make(chan *big11, 1)
	p := new(big11)
	keepVar("zooChanOfPtr", unsafe.Pointer(p), unsafe.Sizeof(*p))
	zooChanOfPtr <- p
}
