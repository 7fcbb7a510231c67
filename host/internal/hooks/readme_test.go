package hooks

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The guide's example is what hooks get, no field more and none less, in both languages.
func TestGuideShowsThePayload(t *testing.T) {
	block := regexp.MustCompile("(?s)```json\n(.*?)```")
	var examples []string
	for _, file := range []string{"README.md", "README.zh.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := block.FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no example", file)
		}
		examples = append(examples, string(found[1]))
	}
	if examples[0] != examples[1] {
		t.Error("the examples of the two languages differ")
	}
	decoder := json.NewDecoder(strings.NewReader(examples[0]))
	decoder.DisallowUnknownFields()
	var payload Payload
	if err := decoder.Decode(&payload); err != nil {
		t.Fatal(err)
	}
	encoded, err := payload.encode()
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(examples[0]), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-guide +payload):\n%s", diff)
	}
}

// Every variable of a command's environment is in the guide.
func TestGuideNamesEveryVariable(t *testing.T) {
	id := int64(1)
	payload := Payload{Event: EventSegment, Recording: Recording{ID: &id}, Segments: []Segment{{Path: "/x"}}, Submission: &Submission{BVID: "BV1"}}
	for _, file := range []string{"README.md", "README.zh.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range payload.environment() {
			name, _, _ := strings.Cut(variable, "=")
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("%s does not tell of %s", file, name)
			}
		}
	}
}
