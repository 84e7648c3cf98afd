package main

import (
	"reflect"
	"unsafe"
)

var (
	zooReflectStruct interface{}
	zooReflectArray  interface{}
	zooReflectSlice  interface{}
	zooReflectMap    interface{}
	zooReflectChan   interface{}
	zooReflectFunc   interface{}
	zooReflectMethod interface{}
	zooReflectBig    interface{}
)

type handler func(int) int

//go:noinline
func keepReflect() {
	bytesType := reflect.TypeOf([]byte(nil))
	field := reflect.StructField{Name: "Data", Type: bytesType}
	st := reflect.StructOf([]reflect.StructField{
		{Name: "N", Type: reflect.TypeOf(0), Tag: `zoo:"n"`}, field,
		{Name: "Pad", Type: reflect.ArrayOf(100, reflect.TypeOf(""))},
	})
	s := reflect.New(st)
	s.Elem().Field(1).SetBytes(payVar("zooReflectStruct"))
	zooReflectStruct = s.Interface()

	a := reflect.New(reflect.ArrayOf(3000, bytesType))
	a.Elem().Index(2999).SetBytes(payVar("zooReflectArray"))
	zooReflectArray = a.Interface()

	sl := reflect.MakeSlice(reflect.SliceOf(st), 10, 12)
	sl.Index(9).Field(1).SetBytes(payVar("zooReflectSlice"))
	zooReflectSlice = sl.Interface()

	m := reflect.MakeMap(reflect.MapOf(reflect.ArrayOf(3, reflect.TypeOf("")), st))
	v := reflect.New(st).Elem()
	v.Field(1).SetBytes(payVar("zooReflectMap"))
	m.SetMapIndex(reflect.Zero(reflect.ArrayOf(3, reflect.TypeOf(""))), v)
	zooReflectMap = m.Interface()

	c := reflect.MakeChan(reflect.ChanOf(reflect.BothDir, st), 3)
	v = reflect.New(st).Elem()
	v.Field(1).SetBytes(payVar("zooReflectChan"))
	c.Send(v)
	zooReflectChan = c.Interface()

	b := payVar("zooReflectFunc")
	ft := reflect.FuncOf([]reflect.Type{st}, []reflect.Type{reflect.TypeOf(0)}, false)
	zooReflectFunc = reflect.MakeFunc(ft, func([]reflect.Value) []reflect.Value {
		use(b)
		return []reflect.Value{reflect.ValueOf(1)}
	}).Interface()

	h := &holder{1, payVar("zooReflectMethod")}
	zooReflectMethod = reflect.ValueOf(h).MethodByName("Get").Interface()

	// A type so large that its pointer map is a program (<= 1.23) or made on demand (>= 1.24).
	big := reflect.New(reflect.ArrayOf(5000, st))
	d := payVar("zooReflectBig")
	big.Elem().Index(4000).Field(1).SetBytes(d)
	zooReflectBig = big.Interface()

	hold(func() {
		// In a function that reflect calls: its arguments are in makeFuncStub's frame.
		p := pay("reflectCall", `(^|;)(main\.reflectCall\b|main\.keepReflect\b|reflect\.)`)
		f := reflect.MakeFunc(reflect.TypeOf(handlerOf), reflectCall)
		*(*unsafe.Pointer)(unsafe.Pointer(&sink)) = nil
		f.Interface().(func(unsafe.Pointer) int)(unsafe.Pointer(&p[0]))
	})
}

func handlerOf(p unsafe.Pointer) int { return 0 }

//go:noinline
func reflectCall(args []reflect.Value) []reflect.Value {
	park()
	return args
}
