package main

type holder struct {
	n    int
	data []byte
}

func (h *holder) Ptr()     { h.n++; use(h.data) }
func (h holder) Val()      { use(h.data) }
func (h *holder) Get() int { return len(h.data) }

var (
	zooClosure        func()
	zooClosureRef     func()
	zooClosureNested  func() func()
	zooMethodValue    func()
	zooMethodValueVal func()
	zooMethodIface    func() int
	zooFuncInStruct   struct {
		n int
		f func()
	}
)

//go:noinline
func keepFuncs() {
	b := payVar("zooClosure")
	zooClosure = func() { use(b) }
	c := payVar("zooClosureRef")
	zooClosureRef = func() { c = c[:len(c)-1] }
	zooClosureRefTouch(&c)
	zooClosureNested = nested(payVar("zooClosureNested"))
	h := &holder{1, payVar("zooMethodValue")}
	zooMethodValue = h.Ptr
	v := holder{2, payVar("zooMethodValueVal")}
	zooMethodValueVal = v.Val
	var s shape = &square{3, payVar("zooMethodIface")}
	zooMethodIface = s.area
	d := payVar("zooFuncInStruct")
	zooFuncInStruct.f = func() { use(d) }
}

//go:noinline
func zooClosureRefTouch(p *[]byte) {}

//go:noinline
func nested(b []byte) func() func() {
	f := func() { use(b) }
	return func() func() { return f }
}
