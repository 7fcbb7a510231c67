package plugins

import (
	"testing"

	"github.com/lubod/lubod/host/internal/reason"
)

func TestRoomGoesToTheFirstRecorderThatTakesItsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-f", "FAKE_CONTAINERS=flv")
	w.install("recorder-h", "FAKE_CONTAINERS=hls FLV")
	m := w.load("plugin \"recorder-f\" {}\nplugin \"recorder-h\" {}\n")
	for _, c := range []struct {
		name       string
		containers []string
		want       string
		code       string
	}{
		{containers: []string{"flv"}, want: "recorder-f"},
		{containers: []string{"hls"}, want: "recorder-h"},
		{containers: []string{"hls", "flv"}, want: "recorder-f"}, // the order is that of plugins.hcl
		{containers: []string{""}, want: "recorder-f"},           // nobody knows
		{containers: []string{"fmp4"}, code: reason.RoomNoRecorder},
		{name: "recorder-h", containers: []string{"flv"}, want: "recorder-h"},
		{name: "h", containers: []string{"flv"}, want: "recorder-h"},
		{name: "stream-gears", containers: []string{"flv"}, code: reason.RoomNoSuchRecorder},
	} {
		lease, err := m.RecorderFor(w.ctx(), RecorderWanted{Name: c.name, Containers: c.containers})
		if c.code != "" {
			if got := reason.Of(err).Code; got != c.code {
				t.Errorf("%+v: got %q, %v", c, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if lease.Plugin != c.want {
			t.Errorf("%+v: got %s", c, lease.Plugin)
		}
		lease.Release()
	}
}

func TestRoomIsNamedByItsURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a", `FAKE_MATCH=^fake://a/0*(?P<room>[0-9]+) ^fake://a/(?P<short>[a-z]+)`)
	m := w.load(`plugin "extractor-a" {}`)
	for url, want := range map[string][2]string{
		"fake://a/7": {"extractor-a", "7"}, "fake://a/007?x": {"extractor-a", "7"}, "fake://a/abc": {"extractor-a", ""}, "http://b/7": {"", ""},
	} {
		if label, room := m.RoomOf(url); label != want[0] || room != want[1] {
			t.Errorf("%s: %q, %q", url, label, room)
		}
	}
}

// A recorder that never came up may be the one: why it did not is said, rather than that there is none.
func TestRecorderThatNeverCameUpIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-f", "FAKE_KIND=exits")
	w.install("recorder-h", "FAKE_CONTAINERS=hls")
	m := w.load("plugin \"recorder-f\" {}\nplugin \"recorder-h\" {}\n")
	lease, err := m.RecorderFor(w.ctx(), RecorderWanted{Containers: []string{"hls"}})
	if err != nil || lease.Plugin != "recorder-h" {
		t.Fatalf("got %+v, %v", lease, err)
	}
	lease.Release()
	if _, err := m.RecorderFor(w.ctx(), RecorderWanted{Containers: []string{"flv"}}); reason.Of(err).Code != reason.PluginDown {
		t.Errorf("got %v", err)
	}
}
