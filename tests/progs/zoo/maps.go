package main

import (
	"fmt"
	"unsafe"
)

// Over 128 bytes a map keeps a key or a value outside its buckets.
type farKey struct {
	n    int
	pad  [20]uint64
	data *big12
}

type farVal struct {
	pad  [20]uint64
	data []byte
	n    int
}

var (
	zooMapSmall    map[string][]byte
	zooMapLarge    map[int][]byte
	zooMapGrowing  map[int][]byte
	zooMapFarVal   map[int]farVal
	zooMapFarKey   map[farKey]int
	zooMapPtrKey   map[*big14]bool
	zooMapStrKey   map[string]int
	zooMapOfMaps   map[string]map[string][]byte
	zooMapIface    map[interface{}]interface{}
	zooMapIfaceKey map[interface{}]bool
	zooMapStruct   map[[2]uint32]row
	zooMapFunc     map[string]func()
	zooMapInStruct struct {
		n int
		m map[uint8]*row
	}
)

func payMap(name, part string) []byte {
	return pay(name, `^main\.`+name+`;.*\$map`+part+`\. \(`)
}

//go:noinline
func keepMaps() {
	zooMapSmall = map[string][]byte{"a": nil, "b": payMap("zooMapSmall", "val"), "c": {}}
	zooMapLarge = map[int][]byte{}
	for i := 0; i < 5000; i++ {
		zooMapLarge[i] = nil
	}
	zooMapLarge[4321] = payMap("zooMapLarge", "val")
	zooMapGrowing = map[int][]byte{0: payMap("zooMapGrowing", "val")}
	for i := 1; i < 3000 || !growing(zooMapGrowing) && i < 10000; i++ {
		zooMapGrowing[i] = nil
	}
	zooMapFarVal = map[int]farVal{}
	for i := 0; i < 20; i++ {
		zooMapFarVal[i] = farVal{n: i}
	}
	zooMapFarVal[7] = farVal{data: payMap("zooMapFarVal", "val")}
	zooMapFarKey = map[farKey]int{}
	p12 := new(big12)
	fill((*[unsafe.Sizeof(*p12)]byte)(unsafe.Pointer(p12))[:], nPromises)
	keep("zooMapFarKey", `^main\.zooMapFarKey;.*\$mapkey\. \(`, unsafe.Pointer(p12), unsafe.Sizeof(*p12))
	for i := 0; i < 20; i++ {
		zooMapFarKey[farKey{n: i}] = i
	}
	zooMapFarKey[farKey{data: p12}] = 1
	p14 := new(big14)
	fill((*[unsafe.Sizeof(*p14)]byte)(unsafe.Pointer(p14))[:], nPromises)
	keep("zooMapPtrKey", `^main\.zooMapPtrKey;.*\$mapkey\. \(`, unsafe.Pointer(p14), unsafe.Sizeof(*p14))
	zooMapPtrKey = map[*big14]bool{nil: true, p14: true}
	zooMapStrKey = map[string]int{"short": 1}
	for i := 0; i < 100; i++ {
		zooMapStrKey[fmt.Sprint("key", i)] = i
	}
	zooMapStrKey[payString("zooMapStrKey", `^main\.zooMapStrKey;.*\$mapkey\. \(`)] = 2
	zooMapOfMaps = map[string]map[string][]byte{"x": {"y": payMap("zooMapOfMaps", "val")}}
	zooMapIface = map[interface{}]interface{}{1: 2, "k": payMap("zooMapIface", "val"), 3.5: row{}}
	p15 := new(big15)
	fill((*[unsafe.Sizeof(*p15)]byte)(unsafe.Pointer(p15))[:], nPromises)
	keep("zooMapIfaceKey", `^main\.zooMapIfaceKey;.*\$mapkey\. \(`, unsafe.Pointer(p15), unsafe.Sizeof(*p15))
	zooMapIfaceKey = map[interface{}]bool{p15: true, 1: false}
	zooMapStruct = map[[2]uint32]row{}
	for i := uint32(0); i < 300; i++ {
		zooMapStruct[[2]uint32{i, i * i}] = row{n: int(i)}
	}
	zooMapStruct[[2]uint32{1, 2}] = row{1, payMap("zooMapStruct", "val")}
	b := payMap("zooMapFunc", "val")
	zooMapFunc = map[string]func(){"f": func() { use(b) }, "g": keepMaps}
	zooMapInStruct.m = map[uint8]*row{1: nil, 2: {2, payMap("zooMapInStruct", "val")}}
	// Deleted entries refer to nothing.
	for i := 0; i < 1000; i++ {
		delete(zooMapLarge, i)
	}
}
