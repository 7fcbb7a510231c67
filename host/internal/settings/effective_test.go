package settings

import (
	"testing"
)

func TestEffectiveTellsWhereAValueComesFrom(t *testing.T) {
	c := xCatalog(`{"x_wait":7,"x_cookie":"SESSDATA=inthefile"}`)
	global := []byte(`{"delay":10,"threads":4,"segment_time":null,"x_qn":20,"douyu_cdn":"ws","twitch_cookie":"secret","gone":1,"x_cdn":null}`)
	ten, prefix := int64(10), "{title}"
	room := &Room{Override: []byte(`{"threads":5,"x_wait":9,"douyu_cdn":"hs"}`), SplitSize: &ten, FilenamePrefix: &prefix}
	for _, test := range []struct {
		key         string
		global, one string
	}{
		{"lines", `{"value":"AUTO","source":"default","works":true}`, ``},
		{"submit_api", `{"value":null,"source":"default","works":true}`, ``},
		{"delay", `{"value":10,"source":"configuration","works":true}`, ``},
		{"threads", `{"value":4,"source":"configuration","works":true}`, `{"value":5,"source":"override","works":true}`},
		{"segment_time", `{"value":null,"source":"configuration","works":true}`, ``},
		{"file_size", `{"value":2147483648,"source":"default","works":true}`, `{"value":10485760,"source":"streamer","works":true}`},
		{"filename_prefix", `{"value":"{streamer}/{streamer}%Y-%m-%dT%H_%M_%S","source":"default","works":true}`, `{"value":"{title}","source":"streamer","works":true}`},
		{"x_qn", `{"value":20,"source":"configuration","works":true}`, ``},
		{"x_wait", `{"value":7,"source":"plugin","works":true}`, `{"value":9,"source":"override","works":true}`},
		{"x_cdn", `{"value":null,"source":"default","works":true}`, ``},
		{"x_cookie", `{"value":"********","source":"plugin","works":true}`, ``},
		{"douyu_cdn", `{"value":"ws","source":"configuration","works":false}`, `{"value":"hs","source":"override","works":false}`},
		{"twitch_cookie", `{"value":"********","source":"configuration","works":false}`, ``},
		{"gone", `{"value":"********","source":"configuration","works":false}`, ``},
	} {
		all, err := c.Effective(global, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantJSON(t, all[test.key], test.global)
		one, err := c.Effective(global, room)
		if err != nil {
			t.Fatal(err)
		}
		if test.one == "" {
			test.one = test.global
		}
		wantJSON(t, one[test.key], test.one)
	}
	if _, ok := func() (Effective, bool) { all, _ := c.Effective(nil, nil); one, ok := all["x_url"]; return one, ok }(); ok {
		t.Error("an option that cannot be set here is shown")
	}
}

func TestSettingsOfBiliupAreKeptWithoutEffect(t *testing.T) {
	c := xCatalog(`{}`)
	stored := object(t, `{"douyu_cdn":"ws","twitch_cookie":"a=b","gone":1,"x_qn":20}`)
	set, remove, err := c.Accept(object(t, `{"douyu_cdn":"hs","huya_danmaku":true,"twitch_cookie":"********","youtube_after_date":null,"x_qn":10}`), stored)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, set, `{"douyu_cdn":"hs","huya_danmaku":true,"twitch_cookie":"a=b","x_qn":10}`)
	wantJSON(t, remove, `["youtube_after_date"]`)
	wantJSON(t, c.WithoutEffect(stored), `["douyu_cdn","gone","twitch_cookie"]`)
	wantJSON(t, c.Show(stored), `{"x_qn":20,"x_cdn":null,"x_wait":null,"x_cookie":null,"x_file":null,"douyu_cdn":"ws","twitch_cookie":"********","gone":"********"}`)
	if _, _, err := c.Accept(object(t, `{"twitch_cookie":"********"}`), nil); err == nil {
		t.Error("a mask is stored as a secret")
	}
}
