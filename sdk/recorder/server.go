package recorder

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/convert"
	recorderv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/recorder/v1"
)

// server keeps the sessions of one process and answers the host about them.
type server struct {
	recorderv1.UnimplementedRecorderServiceServer
	// recovers: the factory's type says before it ran that the recorder can recover.
	recovers bool

	mu       sync.Mutex
	life     context.Context
	recorder Recorder
	sessions map[string]*session
	// recovering holds the prefixes that Recover works on: no session may begin there.
	recovering map[string]int
	// idle is set by drain.
	idle    func()
	closed  bool
	running sync.WaitGroup
}

func newServer() *server {
	return &server{sessions: map[string]*session{}, recovering: map[string]int{}}
}

func (s *server) register(r grpc.ServiceRegistrar) { recorderv1.RegisterRecorderServiceServer(r, s) }

func (s *server) configure(life context.Context, r Recorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life, s.recorder = life, r
}

func (s *server) capabilities() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	recovers := s.recovers
	if s.recorder != nil {
		_, recovers = s.recorder.(Recoverer)
	}
	if recovers {
		return []string{sdk.CapabilityRecover}
	}
	return nil
}

func (s *server) health(ctx context.Context) error {
	s.mu.Lock()
	h, ok := s.recorder.(sdk.HealthChecker)
	s.mu.Unlock()
	if ok {
		return h.Health(ctx)
	}
	return nil
}

// drain accepts no new sessions from now on, and calls idle when the last one is over and acknowledged.
func (s *server) drain(idle func()) {
	s.mu.Lock()
	s.idle = idle
	empty := len(s.sessions) == 0
	s.mu.Unlock()
	if empty {
		idle()
	}
}

// busy counts the sessions that record, and what is being recovered.
func (s *server) busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.recovering)
	for _, one := range s.sessions {
		if !one.info().Ended {
			n++
		}
	}
	return n
}

// kept counts the sessions that are over and not acknowledged.
func (s *server) kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, one := range s.sessions {
		if one.info().Ended {
			n++
		}
	}
	return n
}

// close asks every session to finish and waits until they have, or ctx ends.
func (s *server) close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	for _, one := range s.sessions {
		one.cancel()
	}
	s.mu.Unlock()
	finished := make(chan struct{})
	go func() { // ends when the sessions do; without them only with the process
		s.running.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
	}
}

func (s *server) find(id string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, ok := s.sessions[id]; ok {
		return one, nil
	}
	return nil, notFound(id)
}

// Start implements recorderv1.RecorderServiceServer.
func (s *server) Start(ctx context.Context, in *recorderv1.StartRequest) (*recorderv1.StartResponse, error) {
	request := fromStartRequest(in)
	if err := checkRequest(request); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.sessions[request.SessionID]; known {
		return &recorderv1.StartResponse{}, nil
	}
	if err := s.mayStart(request); err != nil {
		return nil, err
	}
	one := newSession(s.life, request, sdk.Logger(ctx))
	s.sessions[request.SessionID] = one
	recorder := s.recorder
	s.running.Go(func() { one.run(recorder) })
	return &recorderv1.StartResponse{}, nil
}

// mayStart is called with the lock held.
func (s *server) mayStart(request Request) error {
	switch {
	case s.recorder == nil:
		return sdk.Errorf(sdk.Bug, "the host did not configure the plugin before its first call")
	case s.idle != nil || s.closed:
		return sdk.Errorf(sdk.Unavailable, "this recorder process is being replaced and takes no new sessions")
	case s.recovering[request.PathPrefix] > 0:
		return sdk.Errorf(sdk.Unavailable, "files under %s are being recovered", request.PathPrefix)
	}
	if other := s.runningUnder(request.PathPrefix); other != "" {
		return sdk.Errorf(sdk.Bug, "session %s is writing files under %s already", other, request.PathPrefix)
	}
	return nil
}

// runningUnder returns the id of the session that writes under a prefix. Called with the lock held.
func (s *server) runningUnder(prefix string) string {
	for id, one := range s.sessions {
		if i := one.info(); !i.Ended && i.PathPrefix == prefix {
			return id
		}
	}
	return ""
}

func checkRequest(r Request) error {
	switch {
	case r.SessionID == "":
		return sdk.Errorf(sdk.Bug, "a session needs an id")
	case len(r.Streams) == 0:
		return sdk.Errorf(sdk.Bug, "session %s has no stream to record", r.SessionID)
	case !filepath.IsAbs(r.PathPrefix):
		return sdk.Errorf(sdk.Bug, "path prefix %q of session %s is not absolute", r.PathPrefix, r.SessionID)
	case r.FirstIndex < 1:
		return sdk.Errorf(sdk.Bug, "first index %d of session %s is below 1", r.FirstIndex, r.SessionID)
	}
	return nil
}

// Watch implements recorderv1.RecorderServiceServer.
func (s *server) Watch(in *recorderv1.WatchRequest, stream grpc.ServerStreamingServer[recorderv1.WatchResponse]) error {
	one, err := s.find(in.GetSessionId())
	if err != nil {
		return err
	}
	return one.watch(stream.Context(), in.GetAfterSeq(), func(e Event) error {
		return stream.Send(&recorderv1.WatchResponse{Event: toEvent(e)})
	})
}

// Acknowledge implements recorderv1.RecorderServiceServer. An unknown session is no error: the answer to an earlier
// acknowledgement can have been lost.
func (s *server) Acknowledge(_ context.Context, in *recorderv1.AcknowledgeRequest) (*recorderv1.AcknowledgeResponse, error) {
	if one, err := s.find(in.GetSessionId()); err == nil && one.acknowledge(in.GetSeq()) {
		s.forget(one)
	}
	return &recorderv1.AcknowledgeResponse{}, nil
}

func (s *server) forget(one *session) {
	s.mu.Lock()
	if s.sessions[one.request.SessionID] == one {
		delete(s.sessions, one.request.SessionID)
	}
	idle := s.idle
	if len(s.sessions) > 0 {
		idle = nil
	}
	s.mu.Unlock()
	if idle != nil {
		idle()
	}
}

// Refresh implements recorderv1.RecorderServiceServer.
func (s *server) Refresh(_ context.Context, in *recorderv1.RefreshRequest) (*recorderv1.RefreshResponse, error) {
	one, err := s.find(in.GetSessionId())
	if err != nil {
		return nil, err
	}
	if len(in.GetStreams()) == 0 {
		return nil, sdk.Errorf(sdk.Bug, "refresh of session %s without a stream", in.GetSessionId())
	}
	one.refresh(convert.FromStreams(in.GetStreams()))
	return &recorderv1.RefreshResponse{}, nil
}

// Split implements recorderv1.RecorderServiceServer.
func (s *server) Split(_ context.Context, in *recorderv1.SplitRequest) (*recorderv1.SplitResponse, error) {
	one, err := s.find(in.GetSessionId())
	if err != nil {
		return nil, err
	}
	one.requestSplit()
	return &recorderv1.SplitResponse{}, nil
}

// Stop implements recorderv1.RecorderServiceServer.
func (s *server) Stop(ctx context.Context, in *recorderv1.StopRequest) (*recorderv1.StopResponse, error) {
	one, err := s.find(in.GetSessionId())
	if err != nil {
		return nil, err
	}
	if err := one.stop(ctx); err != nil {
		return nil, err
	}
	return &recorderv1.StopResponse{}, nil
}

// List implements recorderv1.RecorderServiceServer.
func (s *server) List(context.Context, *recorderv1.ListRequest) (*recorderv1.ListResponse, error) {
	s.mu.Lock()
	infos := make([]SessionInfo, 0, len(s.sessions))
	for _, one := range s.sessions {
		infos = append(infos, one.info())
	}
	s.mu.Unlock()
	slices.SortFunc(infos, func(a, b SessionInfo) int { return cmp.Compare(a.SessionID, b.SessionID) })
	out := &recorderv1.ListResponse{}
	for _, i := range infos {
		out.Sessions = append(out.Sessions, toSessionInfo(i))
	}
	return out, nil
}

// Recover implements recorderv1.RecorderServiceServer.
func (s *server) Recover(ctx context.Context, in *recorderv1.RecoverRequest) (*recorderv1.RecoverResponse, error) {
	prefix := in.GetPathPrefix()
	if !filepath.IsAbs(prefix) {
		return nil, sdk.Errorf(sdk.Bug, "path prefix %q to recover is not absolute", prefix)
	}
	r, err := s.beginRecover(prefix)
	if err != nil {
		return nil, err
	}
	defer s.endRecover(prefix)
	segments, err := r.Recover(ctx, prefix)
	var left *LeftError
	if err != nil && !errors.As(err, &left) {
		return nil, err
	}
	slices.SortStableFunc(segments, func(a, b Segment) int { return cmp.Compare(a.Index, b.Index) })
	out := &recorderv1.RecoverResponse{}
	for _, one := range segments {
		out.Segments = append(out.Segments, toSegment(one))
	}
	if left != nil {
		out.Left = toLeft(left.Files)
	}
	return out, nil
}

func (s *server) beginRecover(prefix string) (Recoverer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recorder == nil {
		return nil, sdk.Errorf(sdk.Bug, "the host did not configure the plugin before its first call")
	}
	r, ok := s.recorder.(Recoverer)
	if !ok {
		return nil, sdk.Errorf(sdk.Unsupported, "this recorder cannot recover unfinished files")
	}
	if id := s.runningUnder(prefix); id != "" {
		return nil, sdk.Errorf(sdk.Unavailable, "session %s is still writing files under %s", id, prefix)
	}
	if s.recovering[prefix] > 0 {
		return nil, sdk.Errorf(sdk.Unavailable, "files under %s are being recovered already", prefix)
	}
	s.recovering[prefix]++
	return r, nil
}

func (s *server) endRecover(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.recovering, prefix)
}
