package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
)

var patterns = func() (all []*regexp.Regexp) {
	for _, p := range info.Match {
		all = append(all, regexp.MustCompile(p))
	}
	return all
}()

// matches returns the named groups as the SDK does.
func matches(url string) map[string]string {
	for _, p := range patterns {
		if m := p.FindStringSubmatch(url); m != nil {
			groups := map[string]string{}
			for i, name := range p.SubexpNames() {
				if name != "" {
					groups[name] = m[i]
				}
			}
			return groups
		}
	}
	return nil
}

func FuzzURL(f *testing.F) {
	f.Add("https://live.bilibili.com/12?x#y")
	f.Add("b23.tv/AbC")
	f.Fuzz(func(t *testing.T, url string) {
		groups := matches(url)
		if groups == nil {
			return
		}
		lower := strings.ToLower(url)
		lower = strings.TrimPrefix(strings.TrimPrefix(lower, "https://"), "http://")
		if !strings.HasPrefix(lower, "live.bilibili.com/") && !strings.HasPrefix(lower, "www.bilibili.com/") && !strings.HasPrefix(lower, "b23.tv/") {
			t.Errorf("%q is of another host", url)
		}
		if n := groups["room"]; n != "" && (strings.Trim(n, "0123456789") != "" || n[0] == '0') {
			t.Errorf("%q: room %q", url, n)
		}
		if groups["room"] == "" && groups["short"] == "" {
			t.Errorf("%q names neither room nor link", url)
		}
	})
}

// FuzzAnswers holds every decoder to: a usable value or an error of a known kind, whatever comes.
func FuzzAnswers(f *testing.F) {
	files, err := filepath.Glob("testdata/states/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var c stateCase
		if err := json.Unmarshal(raw, &c); err != nil {
			f.Fatal(err)
		}
		for _, answer := range c.Answers {
			f.Add([]byte(answer))
		}
	}
	f.Add([]byte(`{"code":0,"data":{"by_uids":{},"by_room_ids":{"77":{"room_id":77,"uid":5,"live_status":1}}}}`))
	f.Add([]byte("#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"avc1\",BILI-QN=10000\nhttps://h/index.m3u8?cdn=a"))
	now := time.Unix(1790000100, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, c := range decodeMaster(body) {
			if c.quality <= 0 || !strings.HasPrefix(strings.ToLower(c.url), "http") {
				t.Errorf("playlist gives %+v", c)
			}
		}
		data, err := envelope("call", body, false)
		check(t, err)
		if err != nil {
			return
		}
		r, err := decodeInfo(data, now)
		check(t, err)
		if err == nil && (r.id <= 0 || r.uid <= 0 || r.state != stateLive && !r.startedAt.IsZero()) {
			t.Errorf("room %+v", r)
		}
		_, err = decodeInit(data)
		check(t, err)
		check(t, decodeStatuses(data, now, map[int64]polled{}))
		met := map[string]owner{}
		check(t, decodeBases(data, now, met))
		for number, o := range met {
			if o.uid <= 0 || number != strconv.FormatInt(o.id, 10) {
				t.Errorf("room %s has owner %+v", number, o)
			}
		}
		p, err := decodePlay(data)
		check(t, err)
		if err == nil && p.state == stateLive && len(p.candidates) == 0 {
			t.Error("live without a stream and without an error")
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil && sdk.KindOf(err) == "" {
		t.Errorf("error without a kind: %v", err)
	}
}
