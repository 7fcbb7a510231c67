package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/inproc"
	"github.com/lubod/lubod/sdk/recorder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var info = sdk.Info{Name: "toy", Version: "1"}

// toy is a recorder of functions.
type toy struct {
	record  func(ctx context.Context, r recorder.Request, s recorder.Session) error
	recover func(ctx context.Context, prefix string) ([]recorder.Segment, error)
}

func (y *toy) Record(ctx context.Context, r recorder.Request, s recorder.Session) error {
	return y.record(ctx, r, s)
}

func (y *toy) Recover(ctx context.Context, prefix string) ([]recorder.Segment, error) {
	return y.recover(ctx, prefix)
}

func serveToy(t *testing.T, y *toy) *inproc.Instance {
	t.Helper()
	in := inproc.Start(t, recorder.Plugin(info, func(context.Context, struct{}) (*toy, error) { return y, nil }))
	if err := in.Configure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return in
}

func request(t *testing.T) recorder.Request {
	t.Helper()
	return recorder.Request{
		SessionID: uuid.NewString(), Streams: []recorder.Stream{{URL: "http://x/y.flv"}},
		PathPrefix: "/tmp/" + uuid.NewString(), FirstIndex: 1,
	}
}

func begin(t *testing.T, in *inproc.Instance, r recorder.Request) string {
	t.Helper()
	if err := in.Recorder().Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r.SessionID
}

// watch collects a session's events to its end.
func watch(t *testing.T, in *inproc.Instance, id string, after int64) []recorder.Event {
	t.Helper()
	var events []recorder.Event
	if err := in.Recorder().Watch(t.Context(), id, after, func(e recorder.Event) error {
		events = append(events, e)
		return nil
	}); err != nil {
		t.Fatalf("watch: %v", err)
	}
	return events
}

func endOf(t *testing.T, events []recorder.Event) recorder.Ended {
	t.Helper()
	if len(events) == 0 {
		t.Fatal("no events")
	}
	end, ok := events[len(events)-1].Payload.(recorder.Ended)
	if !ok {
		t.Fatalf("last event is %+v", events[len(events)-1])
	}
	return end
}

func wantKind(t *testing.T, err error, kind sdk.Kind) {
	t.Helper()
	if sdk.KindOf(err) != kind {
		t.Errorf("got %v (%s), want %s", err, sdk.KindOf(err), kind)
	}
}

func untilStopped(ctx context.Context, _ recorder.Request, _ recorder.Session) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestHowSessionsEnd(t *testing.T) {
	tests := map[string]struct {
		record func(ctx context.Context, r recorder.Request, s recorder.Session) error
		stop   bool
		want   recorder.Ended
	}{
		"the stream ended": {
			record: func(context.Context, recorder.Request, recorder.Session) error { return nil },
			want:   recorder.Ended{Reason: recorder.EndEOF},
		},
		"nothing was sent": {
			record: func(context.Context, recorder.Request, recorder.Session) error {
				return fmt.Errorf("connect: %w", recorder.ErrOffline)
			},
			want: recorder.Ended{Reason: recorder.EndOffline, Message: "connect: nothing is being sent"},
		},
		"it broke": {
			record: func(context.Context, recorder.Request, recorder.Session) error { return errors.New("disk full") },
			want:   recorder.Ended{Reason: recorder.EndFailed, Message: "disk full"},
		},
		"nothing could be opened, and why": {
			record: func(context.Context, recorder.Request, recorder.Session) error {
				return fmt.Errorf("%w: %w", recorder.ErrOffline, &sdk.Error{
					Kind: sdk.RateLimited, Message: "wait", RetryAfter: time.Minute, Code: sdk.CodeStatus, Args: map[string]string{"status": "429"},
				})
			},
			want: recorder.Ended{Reason: recorder.EndOffline, Message: "nothing is being sent: wait", Err: &sdk.Error{
				Kind: sdk.RateLimited, Message: "nothing is being sent: wait", RetryAfter: time.Minute, Code: sdk.CodeStatus,
				Args: map[string]string{"status": "429"},
			}},
		},
		"an error with a kind": {
			record: func(context.Context, recorder.Request, recorder.Session) error {
				return fmt.Errorf("choose: %w", sdk.Errorf(sdk.Unsupported, "no such container"))
			},
			want: recorder.Ended{
				Reason: recorder.EndFailed, Message: "choose: no such container",
				Err: &sdk.Error{Kind: sdk.Unsupported, Message: "choose: no such container"},
			},
		},
		"the author's code panicked": {
			record: func(context.Context, recorder.Request, recorder.Session) error { panic("index out of range") },
			want: recorder.Ended{
				Reason: recorder.EndFailed, Message: "panic in plugin code: index out of range",
				Err: &sdk.Error{Kind: sdk.Bug, Message: "panic in plugin code: index out of range"},
			},
		},
		"stopped": {record: untilStopped, stop: true, want: recorder.Ended{Reason: recorder.EndStopped}},
		"stopped, and nil": {
			record: func(ctx context.Context, _ recorder.Request, _ recorder.Session) error { <-ctx.Done(); return nil },
			stop:   true, want: recorder.Ended{Reason: recorder.EndStopped},
		},
		"stopped, and the last segment could not be written": {
			record: func(ctx context.Context, _ recorder.Request, _ recorder.Session) error {
				<-ctx.Done()
				return errors.New("disk full")
			},
			stop: true, want: recorder.Ended{Reason: recorder.EndFailed, Message: "disk full"},
		},
		"an own deadline": {
			record: func(context.Context, recorder.Request, recorder.Session) error { return context.DeadlineExceeded },
			want:   recorder.Ended{Reason: recorder.EndFailed, Message: "context deadline exceeded"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := serveToy(t, &toy{record: tt.record})
			id := begin(t, in, request(t))
			if tt.stop {
				if err := in.Recorder().Stop(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, endOf(t, watch(t, in, id, 0))); diff != "" {
				t.Errorf("end (-want +got):\n%s", diff)
			}
			if err := in.Recorder().Stop(t.Context(), id); err != nil {
				t.Errorf("stopping what ended: %v", err)
			}
		})
	}
}

func TestPanicInOneSessionLeavesOthersAlone(t *testing.T) {
	in := serveToy(t, &toy{record: func(ctx context.Context, r recorder.Request, s recorder.Session) error {
		if r.FirstIndex == 2 {
			panic("bad luck")
		}
		return untilStopped(ctx, r, s)
	}})
	good := begin(t, in, request(t))
	bad := request(t)
	bad.FirstIndex = 2
	if got := endOf(t, watch(t, in, begin(t, in, bad), 0)); got.Reason != recorder.EndFailed {
		t.Errorf("got %+v", got)
	}
	if err := in.Recorder().Stop(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if got := endOf(t, watch(t, in, good, 0)); got.Reason != recorder.EndStopped {
		t.Errorf("the other session: %+v", got)
	}
}

func TestStopReturnsWhenRecordHas(t *testing.T) {
	finishing := make(chan struct{})
	finish := make(chan struct{})
	in := serveToy(t, &toy{record: func(ctx context.Context, _ recorder.Request, s recorder.Session) error {
		<-ctx.Done()
		close(finishing)
		<-finish
		s.Emit(recorder.SegmentClosed{Segment: recorder.Segment{Index: 1}})
		return nil
	}})
	id := begin(t, in, request(t))
	ctx, cancel := context.WithCancel(t.Context())
	impatient := make(chan error, 1)
	go func() { impatient <- in.Recorder().Stop(ctx, id) }()
	<-finishing
	cancel()
	if err := <-impatient; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that gave up got %v", err)
	}
	patient := make(chan error, 1)
	go func() { patient <- in.Recorder().Stop(t.Context(), id) }()
	close(finish)
	if err := <-patient; err != nil {
		t.Fatal(err)
	}
	if events := watch(t, in, id, 0); len(events) != 2 {
		t.Errorf("the tail was lost: %+v", events)
	}
}

func TestStartIsIdempotent(t *testing.T) {
	calls := make(chan string, 10)
	in := serveToy(t, &toy{record: func(_ context.Context, r recorder.Request, _ recorder.Session) error {
		calls <- r.SessionID
		return nil
	}})
	r := request(t)
	var starting sync.WaitGroup
	for range 8 {
		starting.Go(func() {
			if err := in.Recorder().Start(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	watch(t, in, r.SessionID, 0)
	begin(t, in, r) // ended, not acknowledged: still known
	if len(calls) != 1 {
		t.Errorf("Record was called %d times", len(calls))
	}
}

func TestRequestsThatCannotWork(t *testing.T) {
	in := serveToy(t, &toy{record: untilStopped})
	running := request(t)
	begin(t, in, running)
	for name, change := range map[string]func(*recorder.Request){
		"no id":                       func(r *recorder.Request) { r.SessionID = "" },
		"no streams":                  func(r *recorder.Request) { r.Streams = nil },
		"relative path":               func(r *recorder.Request) { r.PathPrefix = "x" },
		"index 0":                     func(r *recorder.Request) { r.FirstIndex = 0 },
		"prefix of a running session": func(r *recorder.Request) { r.PathPrefix = running.PathPrefix },
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t)
			change(&r)
			wantKind(t, in.Recorder().Start(t.Context(), r), sdk.Bug)
		})
	}
}

func TestSeveralWatchersSeeTheSame(t *testing.T) {
	step := make(chan struct{})
	in := serveToy(t, &toy{record: func(_ context.Context, _ recorder.Request, s recorder.Session) error {
		for i := range 50 {
			if i == 25 {
				<-step
			}
			s.Emit(recorder.Note{Code: "n", Text: fmt.Sprint(i)})
		}
		return nil
	}})
	id := begin(t, in, request(t))
	var watching sync.WaitGroup
	seen := make([][]recorder.Event, 4)
	for i := range seen {
		watching.Go(func() { seen[i] = watch(t, in, id, int64(i)) })
	}
	close(step)
	watching.Wait()
	for i, events := range seen {
		if len(events) != 51-i || events[0].Seq != int64(i)+1 {
			t.Errorf("watcher after %d got %d events", i, len(events))
		}
	}
}

func TestProgressIsTheNewestAndNeverKept(t *testing.T) {
	emit := make(chan recorder.Payload)
	in := serveToy(t, &toy{record: func(ctx context.Context, _ recorder.Request, s recorder.Session) error {
		for {
			select {
			case p := <-emit:
				s.Emit(p)
			case <-ctx.Done():
				return nil
			}
		}
	}})
	id := begin(t, in, request(t))
	emit <- recorder.Progress{ReceivedBytes: 1} // nobody watches: gone
	emit <- recorder.MediaArrived{}
	got := make(chan recorder.Event)
	done := make(chan error, 1)
	go func() {
		done <- in.Recorder().Watch(t.Context(), id, 0, func(e recorder.Event) error { got <- e; return nil })
	}()
	if e := <-got; e.Seq != 1 || e.Payload != (recorder.MediaArrived{}) {
		t.Fatalf("got %+v", e)
	}
	emit <- recorder.Progress{ReceivedBytes: 2}
	if e := <-got; e.Seq != 0 || e.Payload != (recorder.Progress{ReceivedBytes: 2}) {
		t.Fatalf("got %+v", e)
	}
	// A watcher that does not take anything must not hold the recorder up, nor find a heap when it comes back.
	for i := range 100_000 {
		emit <- recorder.Progress{ReceivedBytes: int64(i)}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- in.Recorder().Stop(t.Context(), id) }()
	count := 0
	for e := range got {
		if _, ended := e.Payload.(recorder.Ended); ended {
			break
		}
		count++
	}
	if err := errors.Join(<-done, <-stopped); err != nil {
		t.Fatal(err)
	}
	if count > 50_000 {
		t.Errorf("%d stale progress events were queued", count)
	}
	if events := watch(t, in, id, 0); len(events) != 2 {
		t.Errorf("progress was kept: %+v", events)
	}
}

func TestAcknowledgedSessionIsForgotten(t *testing.T) {
	in := serveToy(t, &toy{record: func(_ context.Context, _ recorder.Request, s recorder.Session) error {
		s.Emit(recorder.MediaArrived{})
		s.Emit(recorder.MediaArrived{}) // told once
		s.Emit(recorder.Ended{Reason: recorder.EndEOF, Message: "an author must not"})
		s.Emit(nil)
		return nil
	}})
	r := in.Recorder()
	id := begin(t, in, request(t))
	events := watch(t, in, id, 0)
	if len(events) != 2 {
		t.Fatalf("got %+v", events)
	}
	if err := r.Acknowledge(t.Context(), id, 1); err != nil {
		t.Fatal(err)
	}
	if infos, _ := r.List(t.Context()); len(infos) != 1 || !infos[0].Ended || infos[0].LastSeq != 2 {
		t.Errorf("got %+v", infos)
	}
	if err := r.Acknowledge(t.Context(), id, 2); err != nil {
		t.Fatal(err)
	}
	if infos, _ := r.List(t.Context()); len(infos) != 0 {
		t.Errorf("got %+v", infos)
	}
	wantKind(t, r.Watch(t.Context(), id, 0, func(recorder.Event) error { return nil }), sdk.NotFound)
}

func TestEventAfterTheEndIsDropped(t *testing.T) {
	late := make(chan recorder.Session, 1)
	in := serveToy(t, &toy{record: func(_ context.Context, _ recorder.Request, s recorder.Session) error {
		late <- s
		return nil
	}})
	id := begin(t, in, request(t))
	watch(t, in, id, 0)
	(<-late).Emit(recorder.Note{Code: "late"})
	if events := watch(t, in, id, 0); len(events) != 1 {
		t.Errorf("got %+v", events)
	}
}

func TestRefreshAndSplitReachTheAuthor(t *testing.T) {
	ready, read := make(chan struct{}), make(chan struct{})
	in := serveToy(t, &toy{record: func(_ context.Context, _ recorder.Request, s recorder.Session) error {
		close(ready)
		<-read
		streams := <-s.Refreshed()
		<-s.SplitRequested()
		select {
		case <-s.Refreshed():
			return errors.New("an old refresh was delivered after the new one")
		case <-s.SplitRequested():
			return errors.New("two requests for one split became two splits")
		default:
		}
		s.Emit(recorder.Note{Code: streams[0].URL})
		return nil
	}})
	id := begin(t, in, request(t))
	<-ready
	r := in.Recorder()
	err := errors.Join(
		r.Refresh(t.Context(), id, []recorder.Stream{{URL: "http://old/"}}),
		r.Refresh(t.Context(), id, []recorder.Stream{{URL: "http://new/"}}),
		r.Split(t.Context(), id), r.Split(t.Context(), id))
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, r.Refresh(t.Context(), id, nil), sdk.Bug)
	close(read)
	events := watch(t, in, id, 0)
	if n, ok := events[0].Payload.(recorder.Note); !ok || n.Code != "http://new/" {
		t.Errorf("got %+v", events)
	}
}

func TestDrainedRecorderEndsAfterItsLastSession(t *testing.T) {
	in := serveToy(t, &toy{record: untilStopped})
	id := begin(t, in, request(t))
	if err := in.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKind(t, in.Recorder().Start(t.Context(), request(t)), sdk.Unavailable)
	if err := in.Recorder().Stop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	events := watch(t, in, id, 0)
	select {
	case <-in.Idle:
		t.Fatal("the process would end before the host has committed the end of its session")
	default:
	}
	if err := in.Recorder().Acknowledge(t.Context(), id, events[len(events)-1].Seq); err != nil {
		t.Fatal(err)
	}
	<-in.Idle
}

func TestDrainedRecorderWithoutSessionsEndsAtOnce(t *testing.T) {
	in := serveToy(t, &toy{record: untilStopped})
	for range 2 {
		if err := in.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	<-in.Idle
}

func TestRecoverRefusesRunningPrefixes(t *testing.T) {
	in := serveToy(t, &toy{record: untilStopped, recover: func(context.Context, string) ([]recorder.Segment, error) {
		return []recorder.Segment{{Index: 2, Path: "b"}, {Index: 1, Path: "a", Recovered: true, Duration: time.Second}}, nil
	}})
	req := request(t)
	id := begin(t, in, req)
	r := in.Recorder()
	_, err := r.Recover(t.Context(), req.PathPrefix)
	wantKind(t, err, sdk.Unavailable)
	if !strings.Contains(err.Error(), id) {
		t.Errorf("%v does not name the session", err)
	}
	if err := r.Stop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	got, err := r.Recover(t.Context(), req.PathPrefix)
	if err != nil || len(got) != 2 || got[0].Path != "a" || !got[0].Recovered || got[0].Duration != time.Second {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = r.Recover(t.Context(), "relative")
	wantKind(t, err, sdk.Bug)
}

func TestNoSessionBeginsWhereFilesAreRecovered(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	in := serveToy(t, &toy{record: untilStopped, recover: func(context.Context, string) ([]recorder.Segment, error) {
		close(entered)
		<-leave
		return nil, nil
	}})
	req := request(t)
	done := make(chan error, 1)
	go func() {
		_, err := in.Recorder().Recover(t.Context(), req.PathPrefix)
		done <- err
	}()
	<-entered
	wantKind(t, in.Recorder().Start(t.Context(), req), sdk.Unavailable)
	close(leave)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	begin(t, in, req)
}

func TestEndOfProcessFinishesSessions(t *testing.T) {
	closed := make(chan struct{})
	in := serveToy(t, &toy{record: func(ctx context.Context, _ recorder.Request, _ recorder.Session) error {
		<-ctx.Done()
		close(closed)
		return nil
	}})
	begin(t, in, request(t))
	in.Stop()
	<-closed
}

type plain struct{}

func (plain) Record(context.Context, recorder.Request, recorder.Session) error { return nil }

func TestRecoveryIsACapability(t *testing.T) {
	with := inproc.Start(t, recorder.Plugin(info, func(context.Context, struct{}) (*toy, error) { return &toy{}, nil }))
	without := inproc.Start(t, recorder.Plugin(info, func(context.Context, struct{}) (plain, error) { return plain{}, nil }))
	hidden := inproc.Start(t, recorder.Plugin(info, func(context.Context, struct{}) (recorder.Recorder, error) { return &toy{}, nil }))
	capabilities := func(in *inproc.Instance) string {
		d, err := in.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(d.Capabilities, " ")
	}
	if got := capabilities(with); got != sdk.CapabilityRecover {
		t.Errorf("got %q", got)
	}
	if got := capabilities(without); got != "" {
		t.Errorf("got %q", got)
	}
	if err := errors.Join(hidden.Configure(t.Context(), nil), without.Configure(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	if got := capabilities(hidden); got != sdk.CapabilityRecover {
		t.Errorf("once configured: got %q", got)
	}
	_, err := without.Recorder().Recover(t.Context(), "/x")
	wantKind(t, err, sdk.Unsupported)
}
