package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// settleBudget is how long after the last fault everything has to be published; more is called stuck.
const settleBudget = 75 * time.Second

// run is one run of a plan.
type run struct {
	in    *installation
	plan  Plan
	dir   string
	data  string
	disks *disks
	host  *host
	bili  *bilibili.Server
	rooms []*live.Server
	files *fileWatch
	began time.Time

	mu       sync.Mutex
	log      []string
	failures []string
	// killed are the connections of each room that a killed recorder may not have written: those that were open then. From the
	// moment on that is given here it could not write.
	killed     []map[int]time.Time
	full       []window // when a disk was full
	unwritable []window // when folders were
}

// window is a time in which something was the case.
type window struct{ from, to time.Time }

// Result is what came of a run.
type Result struct {
	Plan     Plan
	Took     time.Duration
	Failures []string
	Log      []string
	Kept     string // where what is left lies; "" when all went well
	Summary  string
}

// play makes one run in a directory of its own.
func (in *installation) play(ctx context.Context, plan Plan, clip *live.Clip, dir string, keep bool) Result {
	r := &run{in: in, plan: plan, dir: dir, data: filepath.Join(dir, "data"), began: time.Now()}
	summary, err := r.all(ctx, clip)
	if err != nil {
		r.fail("%v", err)
	}
	err = r.cleanUp(context.WithoutCancel(ctx), keep)
	if err != nil {
		r.fail("clean up: %v", err)
	}
	result := Result{Plan: plan, Took: time.Since(r.began), Failures: r.failures, Log: r.log, Summary: summary}
	if len(r.failures) > 0 || keep {
		result.Kept = dir
		text := plan.String() + strings.Join(r.log, "\n") + "\n" + strings.Join(r.failures, "\n") + "\n"
		_ = os.WriteFile(filepath.Join(dir, "run.log"), []byte(text), 0o600)
	} else if err := os.RemoveAll(dir); err != nil {
		result.Failures = append(result.Failures, err.Error())
	}
	return result
}

// note says in the log of the run what happens now.
func (r *run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf("[%6.2f s] ", time.Since(r.began).Seconds())+fmt.Sprintf(format, args...))
}

// fail notes what must not be.
func (r *run) fail(format string, args ...any) {
	r.note("FAILURE: "+format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *run) all(ctx context.Context, clip *live.Clip) (summary string, err error) {
	if err := os.MkdirAll(r.data, 0o755); err != nil { //nolint:gosec // another user enters it
		return "", err
	}
	if err := os.Chmod(r.dir, 0o755); err != nil { //nolint:gosec // see above
		return "", err
	}
	if err := r.openWorld(clip); err != nil {
		return "", err
	}
	if r.disks, err = mountDisks(ctx, r.in, r.data); err != nil {
		return "", err
	}
	r.host = newHost(r.in, r.data, filepath.Join(r.dir, "lubod.log"), r.bili.URL(), r.note)
	if err := errors.Join(r.host.start(ctx), r.host.waitUp(ctx)); err != nil {
		return "", err
	}
	if err := r.watchRooms(ctx); err != nil {
		return "", err
	}
	r.files = watchFiles(r)
	defer r.files.stop()
	r.happen(ctx)
	r.note("all that was planned has happened")
	if err := r.endBroadcasts(ctx); err != nil {
		return "", err
	}
	healed := time.Now()
	r.host.turn.Lock()
	r.ensureUp(ctx)
	r.host.turn.Unlock()
	if err := r.settle(ctx); err != nil {
		r.fail("%v", err)
	}
	r.note("settled %.1f s after the last fault", time.Since(healed).Seconds())
	return r.judge(ctx)
}

// openWorld starts what lubod talks to.
func (r *run) openWorld(clip *live.Clip) (err error) {
	store := filepath.Join(r.dir, "bilibili")
	if err := os.MkdirAll(store, 0o700); err != nil {
		return err
	}
	r.bili, err = bilibili.Start(bilibili.Options{
		LineHosts: true, ChunkSize: 128 << 10, Dir: store, ArchiveSpeed: pace, Transcode: r.plan.Review / 2, Review: r.plan.Review / 2,
		ListLag: r.plan.ListLag,
	})
	if err != nil {
		return err
	}
	if _, err := r.bili.RestoreAccount(r.in.account); err != nil {
		return err
	}
	if r.plan.Refused != 0 {
		fate := bilibili.Fate{Times: 1, After: r.plan.Review, State: r.plan.Refused, Reason: "crash test"}
		if err := r.bili.AddFate(fate); err != nil {
			return err
		}
	}
	for range r.plan.Rooms {
		room, err := live.Start(live.Options{Clip: clip, Speed: 1})
		if err != nil {
			return err
		}
		r.rooms = append(r.rooms, room)
		r.killed = append(r.killed, map[int]time.Time{})
	}
	return nil
}

func roomName(i int) string { return fmt.Sprintf("room%d", i+1) }

func (r *run) api() *api {
	return &api{base: r.host.base(), token: r.in.token, http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// watchRooms lets lubod watch the rooms, which are live from the moment that it fetches them.
func (r *run) watchRooms(ctx context.Context) error {
	for i, room := range r.rooms {
		streamer := map[string]any{
			"url": room.URL(), "template_name": templateName, "remark": roomName(i), "split_time": int(r.plan.Split.Seconds()),
		}
		if r.plan.Threshold > 0 {
			streamer["override"] = map[string]any{"filtering_threshold": r.plan.Threshold}
		}
		if r.plan.Remove {
			streamer["postprocessor"] = []any{"rm"}
		}
		if err := r.api().call(ctx, "POST", "/streamers", streamer, nil); err != nil {
			return err
		}
	}
	return nil
}

// happen lets everything happen that is planned, and returns when all of it is over.
func (r *run) happen(ctx context.Context) {
	start := time.Now()
	var events sync.WaitGroup
	for _, event := range r.plan.Events {
		events.Go(func() {
			if pause(ctx, time.Until(start.Add(event.At))) == nil {
				r.note("%s", strings.TrimSpace(event.String()[8:]))
				r.act(ctx, event)
			}
		})
	}
	events.Wait()
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) act(ctx context.Context, e Event) {
	switch e.Kind {
	case KillHost, KillStarting, StopHost, KillStopping:
		r.actOnHost(ctx, e)
	case KillRecorder:
		r.killRecorder()
	case KillLine:
		r.note("killed %d line(s)", killAll(r.host.pids("line-upos")))
	case KillExtractor:
		r.note("killed %d extractor(s)", killAll(r.host.pids("extractor-direct")))
	case KillDatabase:
		r.note("killed %d database server(s)", killAll([]int{r.host.postmaster()}))
	case KillBackend:
		if backends := r.host.backends(); len(backends) > 0 {
			killAll(backends[:1])
		}
	case FillDisk:
		r.fill(ctx, r.disks.recordings, e.For)
	case FillData:
		r.fill(ctx, r.disks.data, e.For)
	case Unwritable:
		r.mu.Lock()
		r.unwritable = append(r.unwritable, window{time.Now(), time.Now().Add(e.For)})
		r.mu.Unlock()
		restore := r.disks.unwritable()
		_ = pause(ctx, e.For)
		restore()
		r.note("folders are writable again")
	default:
		r.actOnWorld(ctx, e)
	}
}

func (r *run) fill(ctx context.Context, disk string, d time.Duration) {
	if len(r.disks.mounted) == 0 {
		r.note("no disk is filled: that takes root, who can make a small one")
		return
	}
	from := time.Now()
	free := r.disks.fill(disk)
	_ = pause(ctx, d)
	free()
	r.note("the disk has space again")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = append(r.full, window{from, time.Now()})
}

// killRecorder ends the recorder, and remembers what it may not have written.
func (r *run) killRecorder() {
	now := time.Now()
	unable, from := r.unableSince(now)
	pids := r.host.pids("recorder-native")
	for i, room := range r.rooms {
		connections := room.Connections()
		for n, connection := range connections {
			if connection.Open || unable && n == len(connections)-1 {
				r.mu.Lock()
				r.killed[i][connection.Number] = from
				r.mu.Unlock()
			}
		}
	}
	r.note("killed %d recorder(s)", killAll(pids))
}

// unableSince tells since when a recorder cannot write, or could not until a moment ago and may not have made up for it. A
// recorder that can loses nothing of what came before now.
func (r *run) unableSince(now time.Time) (unable bool, since time.Time) {
	const makesUp = 3 * time.Second
	r.mu.Lock()
	defer r.mu.Unlock()
	since = now
	for _, w := range r.unwritable {
		if now.Before(w.to.Add(makesUp)) && w.from.Before(since) {
			unable, since = true, w.from
		}
	}
	return unable, since
}

// actOnWorld lets something go wrong outside of lubod.
func (r *run) actOnWorld(ctx context.Context, e Event) {
	room := r.rooms[min(e.Room, len(r.rooms)-1)]

	switch e.Kind {
	case LoseSubmit:
		r.bili.AddFault(bilibili.AnswerLost(bilibili.CallSubmit).For(e.N))
	case CutSubmit:
		r.bili.AddFault(bilibili.Reset(bilibili.CallSubmit).For(e.N))
	case LoseChunk:
		r.bili.AddFault(bilibili.AnswerLost(bilibili.CallPart).For(e.N))
	case CutChunk:
		r.bili.AddFault(bilibili.Reset(bilibili.CallPart).For(e.N))
	case LoseComplete:
		r.bili.AddFault(bilibili.AnswerLost(bilibili.CallComplete).For(e.N))
	case RefuseSubmit:
		refusal := bilibili.Code(e.Code)
		if e.Code == -502 {
			refusal = bilibili.CodeButMade(e.Code)
		}
		r.bili.AddFault(refusal)
	case LoseBilibili:
		away := r.bili.AddFault(bilibili.HTML("", http.StatusBadGateway).Always())
		_ = pause(ctx, e.For)
		r.bili.RemoveFault(away)
	case CutSource:
		room.Break()
	case ResetSource:
		fault := room.AddFault(live.Fault{Action: live.Action{Do: live.DoReset}, Times: 1})
		_ = pause(ctx, 200*time.Millisecond)
		room.RemoveFault(fault)
	case StallSource:
		fault := room.AddFault(live.Fault{Action: live.Action{Do: live.DoStall}})
		_ = pause(ctx, e.For)
		room.RemoveFault(fault)
	case LoseSource:
		gone := room.AddFault(live.Fault{Action: live.Action{Do: live.DoAnswer, Status: http.StatusNotFound}})
		closed := room.AddFault(live.Fault{Action: live.Action{Do: live.DoClose}})
		_ = pause(ctx, e.For)
		room.RemoveFault(closed)
		room.RemoveFault(gone)
	default:
		r.fail("nothing is known about %q", e.Kind)
	}
}

// actOnHost ends the daemon and starts it again.
func (r *run) actOnHost(ctx context.Context, e Event) {
	r.host.turn.Lock()
	defer r.host.turn.Unlock()
	switch e.Kind {
	case StopHost:
		began := time.Now()
		if err := r.host.stop(); err != nil {
			r.fail("%v", err)
		}
		r.note("the host took %.2f s to stop", time.Since(began).Seconds())
	case KillStopping:
		if done, running := r.host.signal(syscall.SIGTERM); running {
			select {
			case <-done:
			case <-time.After(e.Then):
				r.host.kill()
			}
		}
	default:
		r.host.kill()
	}
	_ = pause(ctx, e.For)
	if e.Kind == KillStarting {
		if err := r.host.start(ctx); err != nil {
			r.fail("%v", err)
			return
		}
		_ = pause(ctx, e.Then)
		r.host.kill()
	}
	r.ensureUp(ctx)
}

// ensureUp starts the daemon, if it does not run, as an init system would do it, and wants it to come up. Only a full disk
// is a reason to end before. The caller holds the turn.
func (r *run) ensureUp(ctx context.Context) {
	for ctx.Err() == nil {
		r.host.mu.Lock()
		running := r.host.running != nil
		r.host.mu.Unlock()
		began := time.Now()
		if !running {
			if err := r.host.start(ctx); err != nil {
				r.fail("%v", err)
				return
			}
		}
		err := r.host.waitUp(ctx)
		if err == nil {
			r.note("the host is up, after %.2f s", time.Since(began).Seconds())
			return
		}
		for _, death := range r.host.diedAlone() {
			if !r.plan.has(FillData, FillDisk) {
				r.fail("the host ended by itself: %s", death)
				return
			}
			r.note("the host ended by itself beside a full disk: %s", death)
		}
		if ctx.Err() == nil && !strings.Contains(err.Error(), "ended before") {
			r.fail("%v", err)
			return
		}
		_ = pause(ctx, 300*time.Millisecond)
	}
}

// endBroadcasts waits until no room is live any more; one that was never fetched ends now.
func (r *run) endBroadcasts(ctx context.Context) error {
	for i, room := range r.rooms {
		if len(room.Connections()) == 0 {
			room.End()
			r.note("room %d was never fetched", i+1)
		}
		for room.Live() {
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
	}
	r.note("the broadcasts are over")
	return nil
}

func (r *run) cleanUp(ctx context.Context, keep bool) error {
	var errs []error
	if r.host != nil {
		errs = append(errs, r.host.cleanUp())
	}
	for _, room := range r.rooms {
		errs = append(errs, room.Close())
	}
	kept := ""
	if len(r.failures) > 0 || keep {
		kept = filepath.Join(r.dir, "kept")
	}
	if r.disks != nil {
		errs = append(errs, r.disks.unmount(ctx, kept))
	}
	if r.bili != nil {
		errs = append(errs, r.bili.Close())
	}
	return errors.Join(errs...)
}
