package api

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRepeatedKey(t *testing.T) {
	for raw, want := range map[string]string{
		`{}`: "", `[]`: "", `1`: "", `"a"`: "", `{"a":1,"b":2}`: "", `{"a":{"a":1}}`: "", `[{"a":1},{"a":1}]`: "", `{"a":"a","b":"a"}`: "",
		`{"a":["a","a",{"b":"b"}],"c":null}`: "", `{"a":1,"A":2}`: "",
		`{"a":1,"a":2}`: "a", `{"a":1,"\u0061":2}`: "a", `{"x":{"b":[],"b":{}}}`: "b", `[[{"c":{},"d":[],"c":1}]]`: "c", `{"a":{"b":1},"a":1}`: "a", `{"":1,"":2}`: "",
	} {
		key, repeated := repeatedKey([]byte(raw))
		if key != want || repeated != (want != "" || strings.HasPrefix(raw, `{"":1`)) {
			t.Errorf("%s: %q, %v", raw, key, repeated)
		}
	}
	deep := strings.Repeat(`{"a":[`, 4000) + strings.Repeat(`]}`, 4000)
	if key, repeated := repeatedKey([]byte(deep)); repeated {
		t.Errorf("found %q in a deep value", key)
	}
}

func TestMarshalledObjectsRepeatNoKey(t *testing.T) {
	values := rapid.Custom(func(t *rapid.T) any { return hostileValue(t, 0) })
	rapid.Check(t, func(t *rapid.T) {
		raw, err := json.Marshal(values.Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		if key, repeated := repeatedKey(raw); repeated {
			t.Fatalf("%q in %s", key, raw)
		}
	})
}

func hostileValue(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 4).Draw(t, "kind")
	if depth > 4 {
		kind = 0
	}
	switch kind {
	case 1:
		return rapid.String().Draw(t, "text")
	case 2:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			list[i] = hostileValue(t, depth+1)
		}
		return list
	case 3, 4:
		object := make(map[string]any)
		for range rapid.IntRange(0, 3).Draw(t, "size") {
			object[rapid.SampledFrom([]string{"a", "b", "A", "", "\x00", "ſ"}).Draw(t, "key")] = hostileValue(t, depth+1)
		}
		return object
	}
	return nil
}
