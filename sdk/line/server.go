package line

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/lubod/lubod/sdk"
	linev1 "github.com/lubod/lubod/sdk/internal/gen/lubod/line/v1"
)

// server answers the host with an author's Line.
type server struct {
	linev1.UnimplementedLineServiceServer
	info sdk.Info
	// probes: the factory's type says before it ran that the line can probe.
	probes bool
	ready  atomic.Pointer[configured]
}

type configured struct{ line Line }

func (s *server) register(r grpc.ServiceRegistrar) { linev1.RegisterLineServiceServer(r, s) }

func (s *server) configure(l Line) { s.ready.Store(&configured{line: l}) }

func (s *server) capabilities() []string {
	probes := s.probes
	if c := s.ready.Load(); c != nil {
		_, probes = c.line.(Prober)
	}
	if probes {
		return []string{sdk.CapabilityProbe}
	}
	return nil
}

func (s *server) line() (Line, error) {
	if c := s.ready.Load(); c != nil {
		return c.line, nil
	}
	return nil, sdk.Errorf(sdk.Bug, "the host did not configure the plugin before its first call")
}

func (s *server) health(ctx context.Context) error {
	if h, ok := s.ready.Load().line.(sdk.HealthChecker); ok {
		return h.Health(ctx)
	}
	return nil
}

// Probe implements linev1.LineServiceServer.
func (s *server) Probe(ctx context.Context, _ *linev1.ProbeRequest) (*linev1.ProbeResponse, error) {
	l, err := s.line()
	if err != nil {
		return nil, err
	}
	prober, ok := l.(Prober)
	if !ok {
		return nil, sdk.Errorf(sdk.Unsupported, "this plugin cannot measure its lines")
	}
	results, err := prober.Probe(ctx)
	if err != nil {
		return nil, err
	}
	out := &linev1.ProbeResponse{}
	for _, r := range results {
		out.Results = append(out.Results, toProbeResult(r))
	}
	return out, nil
}

// Upload implements linev1.LineServiceServer.
func (s *server) Upload(in *linev1.UploadRequest, stream grpc.ServerStreamingServer[linev1.UploadResponse]) error {
	l, err := s.line()
	if err != nil {
		return err
	}
	file := fromRequest(in)
	if err := s.check(&file); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	r := &reporter{ctx: ctx, stream: stream}
	result, err := l.Upload(ctx, file, r.report)
	r.close()
	if err != nil {
		return err
	}
	if result.RemoteName == "" {
		return sdk.Errorf(sdk.Bug, "the line stored %s but named nothing to submit it by", file.Name)
	}
	return stream.Send(toResult(result))
}

// check completes a request, and refuses one that no line could serve.
func (s *server) check(file *File) error {
	if !slices.Contains(s.info.Lines, file.Line) {
		return sdk.Errorf(sdk.Unsupported, "line %q is not one of this plugin's: %s", file.Line, strings.Join(s.info.Lines, ", "))
	}
	if !filepath.IsAbs(file.Path) {
		return sdk.Errorf(sdk.Bug, "the host asked for a file without an absolute path: %q", file.Path)
	}
	file.Threads = max(file.Threads, 1)
	if file.Name == "" {
		file.Name = filepath.Base(file.Path)
	}
	return nil
}

// reporter sends progress: from any goroutine of the author's, though a gRPC stream takes one sender at a time and none
// after the call has ended.
type reporter struct {
	ctx    context.Context
	stream grpc.ServerStreamingServer[linev1.UploadResponse]

	mu     sync.Mutex
	closed bool
}

func (r *reporter) report(p Progress) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return sdk.Errorf(sdk.Bug, "progress reported after Upload returned")
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if len(p.Checkpoint) > maxCheckpoint {
		return sdk.Errorf(sdk.Bug, "a checkpoint of %d bytes is above the bound of %d", len(p.Checkpoint), maxCheckpoint)
	}
	if p.AcknowledgedBytes < 0 {
		return sdk.Errorf(sdk.Bug, "progress of %d bytes is negative", p.AcknowledgedBytes)
	}
	if err := r.stream.Send(toProgress(p)); err != nil {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		return sdk.Errorf(sdk.Unavailable, "report progress to host: %w", err)
	}
	return nil
}

func (r *reporter) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}
