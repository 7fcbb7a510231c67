package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/api"
	"github.com/lubod/lubod/host/internal/monitor"
	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/host/internal/plugins"
	"github.com/lubod/lubod/host/internal/record"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/host/internal/upload"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/wire"
)

// The rooms of the host do not know each other: each declares the little that it needs, and this file joins them.

// recorders gives record the processes of recorder plugins.
type recorders struct {
	manager *plugins.Manager
	options *roomOptions
}

type recorderProcess struct {
	*plugins.RecorderLease
	options *roomOptions
}

func (p recorderProcess) Options(layers ...[]byte) json.RawMessage {
	// A recorder has no platform, so no login: what comes from the extractor is all that it needs.
	return p.options.of(p.RecorderLease.Plugin, p.Schema(), layers).JSON
}

func (p recorderProcess) Plugin() string   { return p.RecorderLease.Plugin }
func (p recorderProcess) Instance() string { return p.RecorderLease.Instance }

func (r recorders) For(ctx context.Context, wanted record.Wanted) (record.Process, error) {
	lease, err := r.manager.RecorderFor(ctx, plugins.RecorderWanted(wanted))
	if err != nil {
		return nil, err
	}
	return recorderProcess{lease, r.options}, nil
}

func (r recorders) Instance(ctx context.Context, plugin, instance string) (record.Process, error) {
	lease, err := r.manager.RecorderInstance(ctx, plugin, instance)
	if errors.Is(err, plugins.ErrGone) {
		return nil, fmt.Errorf("%w: %s %s", record.ErrGone, plugin, instance)
	}
	if err != nil {
		return nil, err
	}
	return recorderProcess{lease, r.options}, nil
}

func (r recorders) Of(ctx context.Context, plugin, key string) (record.Process, error) {
	lease, err := r.manager.IsolatedRecorder(ctx, plugin, key)
	if errors.Is(err, plugins.ErrUnknownPlugin) {
		return nil, fmt.Errorf("%w: %s", record.ErrUninstalled, plugin)
	}
	if err != nil {
		return nil, err
	}
	return recorderProcess{lease, r.options}, nil
}

func (p recorderProcess) Watch(ctx context.Context, sessionID string, afterSeq int64, handle func(recorder.Event) error) error {
	return p.orGone(ctx, p.RecorderLease.Watch(ctx, sessionID, afterSeq, handle))
}

func (p recorderProcess) Recover(ctx context.Context, pathPrefix string) ([]recorder.Segment, error) {
	segments, err := p.RecorderLease.Recover(ctx, pathPrefix)
	return segments, p.orGone(ctx, err)
}

// deathNotice is how much later than its connection the end of a process is known at most.
const deathNotice = 100 * time.Millisecond

// orGone tells a call that ended with its process from one that lost its connection: after the first there is nothing to wait
// for.
func (p recorderProcess) orGone(ctx context.Context, err error) error {
	if !errors.Is(err, wire.ErrPluginDown) {
		return err
	}
	notice := time.NewTimer(deathNotice)
	defer notice.Stop()
	select {
	case <-p.Done():
		return fmt.Errorf("%w: %w", record.ErrGone, err)
	case <-notice.C:
	case <-ctx.Done():
	}
	return err
}

// lines gives upload the processes of line plugins.
type lines struct{ manager *plugins.Manager }

type lineLease struct{ *plugins.LineLease }

func (l lineLease) Plugin() string { return l.LineLease.Plugin }

func (l lines) Names(ctx context.Context) ([]string, error) { return l.manager.LineNames(ctx) }

func (l lines) Lease(ctx context.Context, name string) (upload.Lease, error) {
	lease, err := l.manager.Line(ctx, name)
	if err != nil {
		return nil, err
	}
	return lineLease{lease}, nil
}

// recordable lets the monitor begin recordings.
type recordable struct{ *record.Service }

func (r recordable) Start(ctx context.Context, streamer db.Streamer, status extractor.Status) error {
	err := r.Service.Start(ctx, streamer, status)
	if errors.Is(err, record.ErrNoSlot) {
		return monitor.ErrNoSlot
	}
	return err
}

// pictures lets upload fetch covers.
type pictures struct{ client *outgoing.Client }

func (p pictures) Picture(ctx context.Context, url string, most int64) ([]byte, error) {
	response, err := p.client.Do(ctx, outgoing.Request{URL: url, MaxBytes: most})
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it is answered with HTTP status %d", response.StatusCode)
	}
	return io.ReadAll(response.Body)
}

// rooms lets the API change what is watched and recorded.
type rooms struct {
	watcher    *monitor.Monitor
	recordings *record.Service
}

func (r rooms) Changed(streamerID int64) {
	r.watcher.Changed(streamerID)
	r.recordings.RoomChanged()
}

func (r rooms) ConfigurationChanged() { r.watcher.ConfigurationChanged() }

func (r rooms) StopRecording(ctx context.Context, streamerID int64, _ string) error {
	return r.recordings.Stop(ctx, streamerID)
}

// catalog shows the API what plugins there are.
type catalog struct {
	*plugins.Manager
	host *Host
}

func (c catalog) Options() *settings.Catalog { return settings.NewCatalog(c.Manager.Options()) }

func (c catalog) Reload(ctx context.Context) error { return c.host.Reload(ctx) }

func (c catalog) Status() []api.PluginStatus {
	var shown []api.PluginStatus
	conflicts := c.Options().Conflicts()
	for _, status := range c.Manager.Status() {
		one := api.PluginStatus{
			Name: status.Plugin, Kind: string(status.Kind), Version: status.Version, State: string(status.State), Error: status.LastError,
			Match: status.Match, Lines: status.Lines, Processes: len(status.Draining) + status.IsolatedProcesses(), Restarts: status.Restarts,
		}
		if status.Process != nil {
			one.Processes++
			if one.Error == "" {
				one.Error = status.Process.Unhealthy
			}
		}
		if one.Error == "" {
			one.Error = conflicts[status.Plugin]
		}
		for _, isolated := range status.Isolated {
			if one.Error == "" {
				one.Error = isolated.LastError
			}
		}
		shown = append(shown, one)
	}
	return shown
}
