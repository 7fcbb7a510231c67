package api

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/db/dbtest"
)

const (
	benchStreamers = 1000
	// What a page that many people look at asks for, over HTTP, logged in.
	benchRate     = 50 // requests a second
	benchRequests = 500
)

// BenchmarkListStreamers and BenchmarkStatus ask for 1,000 streamers at a steady rate, beside a year of history. Latency
// counts from when a request was due, so that one slow answer is not hidden by those that wait behind it. The aim is a
// p99 of at most 20 ms.
func BenchmarkListStreamers(b *testing.B) { benchmarkSteady(b, "/streamers") }

// BenchmarkStatus is the same for the state of everything.
func BenchmarkStatus(b *testing.B) { benchmarkSteady(b, "/status") }

func benchmarkSteady(b *testing.B, path string) {
	h := newHarness(b, dbtest.New(b))
	h.register(b, "admin", "password123")
	h.login(b, "admin", "password123")
	h.fill(b)
	request := func() error {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, h.base+"/api/v1"+path, http.NoBody)
		if err != nil {
			return err
		}
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: h.sessionToken(b)})
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		n, err := io.Copy(io.Discard, response.Body)
		if err != nil || response.StatusCode != http.StatusOK || n < benchStreamers*100 {
			return fmt.Errorf("status %d, %d bytes, %w", response.StatusCode, n, err)
		}
		return nil
	}
	b.Cleanup(http.DefaultClient.CloseIdleConnections)
	var latencies []time.Duration
	for b.Loop() {
		latencies = append(latencies, steady(b, request)...)
	}
	slices.Sort(latencies)
	b.ReportMetric(0, "ns/op")
	for _, p := range []int{50, 90, 99} {
		b.ReportMetric(float64(latencies[len(latencies)*p/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", p))
	}
}

// steady sends requests whether those before are answered or not.
func steady(b *testing.B, request func() error) []time.Duration {
	latencies := make([]time.Duration, benchRequests)
	begin := time.Now()
	var sent sync.WaitGroup
	for i := range benchRequests {
		due := begin.Add(time.Duration(i) * time.Second / benchRate)
		time.Sleep(time.Until(due))
		sent.Go(func() {
			if err := request(); err != nil {
				b.Error(err)
			}
			latencies[i] = time.Since(due)
		})
	}
	sent.Wait()
	return latencies
}

// fill makes 1,000 streamers with templates, 100 of them being recorded and published, and 10,000 recordings of the past.
func (h *harness) fill(b *testing.B) {
	b.Helper()
	for _, statement := range []string{
		`INSERT INTO templates (template_name, title, user_cookie) SELECT 'template ' || n, '{{title}}', 'cookies.json' FROM generate_series(1, 20) n`,
		`INSERT INTO streamers (url, template_name, remark, override)
		 SELECT 'https://live.bilibili.com/' || n, 'template ' || n % 20 + 1, '主播 ' || n, '{"delay": 60}' FROM generate_series(1, 1000) n`,
		`INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, state, started_at, ended_at)
		 SELECT s.id, gen_random_uuid(), s.url, s.remark, s.template_name, '标题', s.remark, 'ended', now() - interval '1 day', now()
		 FROM streamers s, generate_series(1, 10)`,
		`INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, state, started_at)
		 SELECT s.id, gen_random_uuid(), s.url, s.remark, s.template_name, '标题', s.remark, 'recording', now() FROM streamers s WHERE s.id % 10 = 0`,
		`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish)
		 SELECT r.id, n, '/recordings/' || r.id || '/' || n || '.flv', 2000000000, 3600000, now(), now(), 'wanted' FROM recordings r, generate_series(1, 4) n`,
		`INSERT INTO uploads (segment_id, state) SELECT g.id, CASE WHEN r.state = 'recording' AND g.index > 3 THEN 'uploading' ELSE 'uploaded' END
		 FROM segments g JOIN recordings r ON r.id = g.recording_id`,
		`INSERT INTO submissions (recording_id, state, title, accepted_at) SELECT id, 'accepted', '标题', now() FROM recordings WHERE state = 'ended'`,
		`ANALYZE`,
	} {
		if _, err := h.db.Pool.Exec(b.Context(), statement); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
}
