package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sort"
	"time"

	"github.com/lubod/lubod/sdk/line"
)

const (
	mebibyte         = 1 << 20
	defaultProbeMiB  = 0.1
	mostProbeMiB     = 10
	probeContentType = "application/octet-stream"
)

// probeLimits bound a probe: one line that hangs must not keep an upload waiting.
type probeLimits struct{ list, line, total time.Duration }

type probeList struct {
	Lines []struct {
		OS       string `json:"os"`
		Query    string `json:"query"`
		ProbeURL string `json:"probe_url"`
	} `json:"lines"`
	Probe struct {
		Post *float64 `json:"post"`
		Get  any      `json:"get"`
	} `json:"probe"`
}

// Probe implements line.Prober. It measures the lines that the server proposes for this place, one after the other so
// that they do not share the bandwidth, and falls back to a line that works from most places.
func (u *upos) Probe(ctx context.Context) ([]line.ProbeResult, error) {
	limited, cancel := context.WithTimeout(ctx, u.probeLimits.total)
	defer cancel()
	list, err := u.probeList(limited)
	if err != nil {
		u.log.WarnContext(ctx, "no list of lines to probe", "error", err)
	}
	var results []line.ProbeResult
	measured := map[string]bool{}
	for _, entry := range list.Lines {
		served, ok := lineOfQuery(entry.Query)
		if entry.OS != "upos" || !ok || measured[served.name] {
			continue
		}
		measured[served.name] = true
		result, err := u.measure(limited, served.name, entry.ProbeURL, list)
		if limited.Err() != nil {
			break
		}
		if err != nil {
			u.log.InfoContext(ctx, "line does not answer", "line", served.name, "error", err)
			continue
		}
		results = append(results, result)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(results) == 0 {
		u.log.WarnContext(ctx, "no line could be measured", "fallback", fallbackLine)
		return []line.ProbeResult{{Line: fallbackLine}}, nil
	}
	sort.SliceStable(results, func(i, j int) bool { return results[i].LatencyMS < results[j].LatencyMS })
	return results, nil
}

func (u *upos) probeList(ctx context.Context) (probeList, error) {
	ctx, cancel := context.WithTimeout(ctx, u.probeLimits.list)
	defer cancel()
	a, err := u.client.send(ctx, request{method: http.MethodGet, url: u.member.String() + "/preupload?r=probe"})
	if err != nil {
		return probeList{}, err
	}
	return decodeProbeList(a)
}

func decodeProbeList(a answer) (probeList, error) {
	var list probeList
	if err := a.decode("probe", &list); err != nil {
		return probeList{}, err
	}
	if len(list.Lines) == 0 {
		return probeList{}, errors.New("probe: the list is empty: " + a.excerpt())
	}
	return list, nil
}

// postSize is how many bytes a measurement sends.
func (l probeList) postSize() int64 {
	post := defaultProbeMiB
	if l.Probe.Post != nil && *l.Probe.Post >= 0 && !math.IsInf(*l.Probe.Post, 0) {
		post = min(*l.Probe.Post, mostProbeMiB)
	}
	return int64(post * mebibyte)
}

func (u *upos) measure(ctx context.Context, name, probeURL string, list probeList) (line.ProbeResult, error) {
	target, err := serverURL(probeURL, u.member.Scheme)
	if err != nil {
		return line.ProbeResult{}, err
	}
	r := request{method: http.MethodGet, url: target.String()}
	if list.Probe.Get == nil {
		r.method, r.size, r.contentType = http.MethodPost, list.postSize(), probeContentType
		r.body = func() io.Reader { return io.LimitReader(zeros{}, r.size) }
	}
	ctx, cancel := context.WithTimeout(ctx, u.probeLimits.line)
	defer cancel()
	began := u.now()
	a, err := u.client.send(ctx, r)
	elapsed := u.now().Sub(began)
	if err != nil {
		return line.ProbeResult{}, err
	}
	if !a.ok() {
		return line.ProbeResult{}, fmt.Errorf("HTTP status %d", a.status)
	}
	result := line.ProbeResult{Line: name, LatencyMS: elapsed.Milliseconds()}
	if r.size > 0 && elapsed > 0 {
		result.BytesPerSecond = int64(float64(r.size) / elapsed.Seconds())
	}
	return result, nil
}

// zeros is an endless supply of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
