package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

// stateCase is one file of testdata/states: what the platform answers to each call, and what has to come of it.
type stateCase struct {
	About      string
	Options    json.RawMessage
	Answers    map[string]json.RawMessage
	Want       *extractor.Status
	Kind       sdk.Kind
	Cause      sdk.Cause
	RetryAfter string `json:"retry_after"`
	Text       string // part of the error
}

func TestStates(t *testing.T) {
	files, err := filepath.Glob("testdata/states/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c stateCase
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			c.run(t)
		})
	}
}

func (c *stateCase) run(t *testing.T) {
	server := httptest.NewServer(c)
	defer server.Close()
	b := newTest(t, server.URL)
	got, err := b.Resolve(t.Context(), extractor.Ref{URL: "https://live.bilibili.com/5500001", Groups: numbered("5500001"), Options: c.Options})
	if c.Want == nil {
		c.checkError(t, got, err)
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", c.About, err)
	}
	headers := map[string]string{"User-Agent": userAgent, "Origin": "https://live.bilibili.com", "Referer": "https://live.bilibili.com/5500001"}
	for i := range c.Want.Streams {
		c.Want.Streams[i].Headers = headers
	}
	for _, stream := range got.Streams {
		if lease := stream.Lease; !lease.RefreshAt.Equal(lease.InvalidAt.Add(-time.Minute)) && !lease.InvalidAt.IsZero() || stream.Group == "" {
			t.Errorf("%s: lease %+v, group %q", c.About, lease, stream.Group)
		}
	}
	times := cmpopts.IgnoreFields(sdk.Lease{}, "IssuedAt", "RefreshAt")
	if diff := gocmp.Diff(*c.Want, got, times, cmpopts.IgnoreFields(sdk.Stream{}, "Group")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", c.About, diff)
	}
}

func (c *stateCase) checkError(t *testing.T, got extractor.Status, err error) {
	t.Helper()
	var failure *sdk.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%s: got %+v, %v, want an error", c.About, got, err)
	}
	if failure.Kind != c.Kind || failure.Cause != c.Cause {
		t.Errorf("%s: got %s %q, want %s %q: %v", c.About, failure.Kind, failure.Cause, c.Kind, c.Cause, err)
	}
	if want, _ := time.ParseDuration(cmp.Or(c.RetryAfter, "0s")); failure.RetryAfter != want {
		t.Errorf("%s: retry after %s, want %s", c.About, failure.RetryAfter, want)
	}
	if c.Text == "" || !strings.Contains(err.Error(), c.Text) || !strings.Contains(err.Error(), "5500001") {
		t.Errorf("%s: error %q does not say %q and which room", c.About, err, c.Text)
	}
}

// ServeHTTP answers as the case says, and the two calls of the main API as it always does.
func (c *stateCase) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/x/web-interface/nav":
		w.Write([]byte(`{"code":-101,"data":{"wbi_img":{"img_url":"https://i.example/` + vectorImg + `.png","sub_url":"https://i.example/` + vectorSub + `.png"}}}`))
		return
	case "/x/frontend/finger/spi":
		w.Write([]byte(`{"code":0,"data":{"b_3":"TESTinfoc","b_4":"TEST4"}}`))
		return
	}
	answer, ok := c.Answers[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotImplemented)
		return
	}
	var direct struct {
		Status int
		Body   string
	}
	if json.Unmarshal(answer, &direct) == nil && direct.Status != 0 {
		w.WriteHeader(direct.Status)
		w.Write([]byte(direct.Body))
		return
	}
	w.Write(answer)
}
