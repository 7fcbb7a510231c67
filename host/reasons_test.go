package host_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// Rooms whose address is itself the stream, and a room that its platform calls live: whatever keeps them from being recorded is
// their reason, and stays it while they are asked again and again. Only where nobody sends is there none.
func TestEveryRoomThatIsNotRecordedSaysWhy(t *testing.T) {
	t.Parallel()
	answers := http.NewServeMux()
	for _, status := range []int{401, 403, 404, 500} {
		answers.HandleFunc(fmt.Sprintf("/%d/x.flv", status), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	answers.HandleFunc("/html/x.flv", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>blocked")) })
	answers.HandleFunc("/gzip/x.flv", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write([]byte{0x1f, 0x8b, 8, 0})
	})
	plain := httptest.NewServer(answers)
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(answers)
	t.Cleanup(secure.Close)
	closed := hosttest.ReservePort(t)

	media := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	daemon := newBilibiliLive(t, media, "https_proxy=http://user:s3cret@"+closed)
	prepare(t, daemon.Daemon)
	rooms := []struct{ url, reason string }{
		{plain.URL + "/401/x.flv", "answered 401 Unauthorized"},
		{plain.URL + "/403/x.flv", "answered 403 Forbidden"},
		{plain.URL + "/500/x.flv", "answered 500 Internal Server Error"},
		{plain.URL + "/html/x.flv", "HTML page"},
		{plain.URL + "/gzip/x.flv", "compressed body (gzip)"},
		{secure.URL + "/404/x.flv", "certificate"},
		{"http://nowhere.invalid/x.flv", "host name is not known"},
		{"https://cdn.example/x.flv", "the proxy http://" + closed + " cannot be used"},
		{plain.URL + "/404/x.flv", ""},
		{"http://" + closed + "/x.flv", ""},
		{bilibiliRoom, "the room is live and none of its addresses can be recorded: "},
	}
	for _, room := range rooms {
		addStreamer(daemon.Daemon, room.url, 60)
	}
	reasons := func() map[string]string {
		var all []struct {
			Inner  struct{ URL string }
			Reason string
		}
		daemon.Client.Do(http.MethodGet, "/streamers", nil, http.StatusOK, &all)
		byURL := make(map[string]string)
		for _, one := range all {
			byURL[one.Inner.URL] = one.Reason
		}
		return byURL
	}
	right := func() string {
		for url, reason := range reasons() {
			for _, room := range rooms {
				if room.url == url && (!strings.Contains(reason, room.reason) || room.reason == "" && reason != "") {
					return fmt.Sprintf("%s says %q, want %q", url, reason, room.reason)
				}
			}
		}
		return ""
	}
	daemon.until("every room says why", func() bool { return right() == "" })
	if platform := reasons()[bilibiliRoom]; !strings.Contains(platform, "404") || !strings.Contains(platform, "(http") {
		t.Errorf("the platform's room says %q, want status and CDN", platform)
	}
	asked := len(daemon.media())
	daemon.until("the room is asked on", func() bool {
		if wrong := right(); wrong != "" {
			t.Fatalf("in between, %s", wrong)
		}
		return len(daemon.media()) >= asked+4
	})
	for _, room := range rooms {
		want := 1
		if room.reason == "" {
			want = 0
		}
		if n := daemon.Log().Count("level=WARN", "room cannot be recorded", "url="+room.url+" "); n != want {
			t.Errorf("%s: %d warnings, want %d", room.url, n, want)
		}
	}
	if strings.Contains(daemon.Log().Text(), "s3cret") {
		t.Error("the log holds the proxy's password")
	}
	daemon.Stop()
}
