// Package filltest helps to prove that conversions forget no field: it fills Go values completely and finds protobuf
// fields that stayed empty.
package filltest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Value returns a T whose exported fields are all set, to values that differ from each other. Strings for which choices
// has values (by type name) take the first of them.
func Value[T any](choices map[string]string) T {
	var v T
	f := filler{choices: choices}
	f.fill(reflect.ValueOf(&v).Elem())
	return v
}

type filler struct {
	n       int64
	choices map[string]string
}

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000+f.n, 0).UTC()))
		return
	case time.Duration:
		v.SetInt(f.n * int64(time.Millisecond))
		return
	case json.RawMessage:
		v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, f.n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		text, ok := f.choices[v.Type().Name()]
		if !ok {
			text = fmt.Sprintf("text-%d", f.n)
		}
		v.SetString(text)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(f.n)
	case reflect.Float64:
		v.SetFloat(float64(f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i))
		}
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(f.n) % 256)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Interface: // an error that stays on its side
	case reflect.Struct:
		for _, field := range v.Fields() {
			f.fill(field)
		}
	default:
		panic(fmt.Sprintf("filltest cannot fill a %s", v.Type()))
	}
}

// Unset names the fields of m, and of messages inside it, that are not set. Of a oneof one field is enough.
func Unset(m proto.Message) []string { return unset(m.ProtoReflect(), "") }

func unset(m protoreflect.Message, path string) []string {
	var missing []string
	if m.Descriptor().ParentFile().Package() == "google.protobuf" {
		return nil // a Timestamp that is there is complete
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := path + string(field.Name())
		if oneof := field.ContainingOneof(); oneof != nil && m.WhichOneof(oneof) != nil && m.WhichOneof(oneof) != field {
			continue
		}
		if !m.Has(field) {
			missing = append(missing, name)
			continue
		}
		missing = append(missing, inside(m.Get(field), field, name)...)
	}
	return missing
}

func inside(v protoreflect.Value, field protoreflect.FieldDescriptor, name string) []string {
	if field.IsMap() || field.Message() == nil {
		return nil
	}
	if !field.IsList() {
		return unset(v.Message(), name+".")
	}
	var missing []string
	for i := range v.List().Len() {
		missing = append(missing, unset(v.List().Get(i).Message(), fmt.Sprintf("%s[%d].", name, i))...)
	}
	return missing
}
