package host_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

// BenchmarkStart is the time from the start of the daemon to its first answer, with its own PostgreSQL: once with an empty
// data directory, where the database is made first, and once with an existing one. The aims are 3 s and 0.6 s.
func BenchmarkStart(b *testing.B) {
	hosttest.Programs(b)
	begin := func(b *testing.B, daemon *hosttest.Daemon) float64 {
		began := time.Now()
		daemon.Start()
		if status, answer := daemon.Client.Raw(http.MethodGet, "/openapi.yaml", nil); status != http.StatusOK {
			b.Fatalf("status %d: %s", status, answer)
		}
		took := time.Since(began)
		b.StopTimer()
		daemon.Stop()
		b.StartTimer()
		return took.Seconds()
	}
	b.Run("empty", func(b *testing.B) {
		total := 0.0
		for b.Loop() {
			b.StopTimer()
			daemon := hosttest.New(b, hosttest.Options{})
			b.StartTimer()
			total += begin(b, daemon)
		}
		b.ReportMetric(total/float64(b.N), "s/start")
	})
	b.Run("existing", func(b *testing.B) {
		daemon := hosttest.New(b, hosttest.Options{})
		begin(b, daemon)
		total := 0.0
		for b.Loop() {
			total += begin(b, daemon)
		}
		b.ReportMetric(total/float64(b.N), "s/start")
	})
}

const (
	idleRooms    = 1000
	idleInterval = 30 * time.Second // the default of event_loop_interval
	idleRounds   = 4
)

// BenchmarkIdleRooms watches 1,000 rooms that are offline, as most are most of the time: what host and extractor compute,
// in percent of one core (aim: 5), and how much later than the interval any room is asked again (aim: 1 s). Rooms of
// live.bilibili.com are asked together, with the pauses that this platform wants; those of the other one each by itself.
func BenchmarkIdleRooms(b *testing.B) {
	b.Run("together", func(b *testing.B) {
		sim := bililive.New(b, bililive.Options{})
		for i := range int64(idleRooms) {
			sim.SetRoom(bililive.Room{ID: 8000000 + i, UID: 2000 + i})
		}
		daemon := hosttest.New(b, hosttest.Options{
			Plugins: "plugin_dir = %q\nplugin \"extractor-bilibili\" {}\nplugin \"recorder-native\" {}\nplugin \"line-upos\" {}\n",
			Env:     []string{"LUBOD_BILIBILI_LIVE_URL=" + sim.URL(), "LUBOD_BILIBILI_LIVE_API_URL=" + sim.URL(), "LUBOD_BILIBILI_SHORT_URL=" + sim.URL()},
		})
		measureIdle(b, daemon, "extractor-bilibili", "https://live.bilibili.com/%d", func() map[string][]time.Time {
			asked := make(map[string][]time.Time)
			for _, request := range sim.Requests() {
				for _, uid := range request.Query["uids[]"] {
					asked[uid] = append(asked[uid], request.At)
				}
			}
			return asked
		})
	})
	b.Run("one-by-one", func(b *testing.B) {
		var mu sync.Mutex
		asked := make(map[string][]time.Time)
		platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked[r.URL.Path] = append(asked[r.URL.Path], time.Now())
			mu.Unlock()
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]bool{"live": false})
		}))
		defer platform.Close()
		daemon := hosttest.New(b, hosttest.Options{
			Plugins: "plugin_dir = %q\nplugin \"extractor-acme\" {\n  options {\n    api = \"" + platform.URL + "\"\n  }\n}\nplugin \"recorder-native\" {}\nplugin \"line-upos\" {}\n",
		})
		measureIdle(b, daemon, "extractor-acme", "https://live.acme.tv/%d", func() map[string][]time.Time {
			mu.Lock()
			defer mu.Unlock()
			return asked
		})
	})
}

// measureIdle lets a daemon watch rooms. asked tells when each of them was asked.
func measureIdle(b *testing.B, daemon *hosttest.Daemon, extractor, url string, asked func() map[string][]time.Time) {
	daemon.Start()
	daemon.Client.Register()
	for i := range idleRooms {
		daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": fmt.Sprintf(url, 8000000+i)}, http.StatusOK, nil)
	}
	// What the creation of rooms costs is not what they cost: the daemon begins anew, and settles for two intervals.
	daemon.Stop()
	daemon.Start()
	<-time.After(2 * idleInterval)
	extractors := daemon.PluginPIDs(extractor)
	if len(extractors) != 1 {
		b.Fatalf("%d processes of the extractor, want one", len(extractors))
	}
	for b.Loop() {
		began, host, plugin := time.Now(), hosttest.CPU(b, daemon.PID()), hosttest.CPU(b, extractors...)
		<-time.After(idleRounds * idleInterval)
		host, plugin = hosttest.CPU(b, daemon.PID())-host, hosttest.CPU(b, extractors...)-plugin
		took := time.Since(began)
		b.ReportMetric(100*host.Seconds()/took.Seconds(), "%core-host")
		b.ReportMetric(100*plugin.Seconds()/took.Seconds(), "%core-extractor")
		b.ReportMetric(100*(host+plugin).Seconds()/took.Seconds(), "%core")
		late, rooms := time.Duration(0), 0
		for _, times := range asked() {
			rooms++
			for i := 1; i < len(times); i++ {
				if times[i].After(began) {
					late = max(late, times[i].Sub(times[i-1])-idleInterval)
				}
			}
			if quiet := time.Since(times[len(times)-1]); quiet > 2*idleInterval {
				b.Errorf("a room has not been asked for %v", quiet)
			}
		}
		if rooms < idleRooms {
			b.Errorf("%d rooms were asked", rooms)
		}
		b.ReportMetric(late.Seconds(), "s-late")
	}
	b.ReportMetric(0, "ns/op")
	daemon.Stop()
}
