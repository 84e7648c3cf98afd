//go:build go1.18
// +build go1.18

package main

type Box[T any] struct {
	n    int
	val  T
	next *Box[T]
}

type Pair[K comparable, V any] struct {
	key K
	val V
}

func (b *Box[T]) hold() {
	park()
	b.n++
}

var (
	zooGeneric     *Box[[]byte]
	zooGenericPair Pair[string, Box[map[string]Pair[int, []byte]]]
	zooGenericFunc func() []byte
)

//go:noinline
func genericFunc[T any](v T) func() T {
	return func() T { return v }
}

//go:noinline
func gorGeneric[T any](v T) {
	park()
	zooAny = v
}

var zooAny any

//go:noinline
func keepGo18() {
	zooGeneric = &Box[[]byte]{next: &Box[[]byte]{val: payVar("zooGeneric")}}
	zooGenericPair.val.val = map[string]Pair[int, []byte]{"x": {1, payMap("zooGenericPair", "val")}}
	zooGenericFunc = genericFunc(payVar("zooGenericFunc"))
	b := pay("gorGeneric", `(^|;)main\.gorGeneric\b`)
	go gorGeneric(b)
	<-started
	c := &Box[[]byte]{val: pay("gorGenericMethod", `(^|;)main\.(\(\*Box\[.*\]\)|Box\[.*\])\.hold\b|^main\.keepGo18\.gowrap`)}
	go c.hold()
	<-started
}
