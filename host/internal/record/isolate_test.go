package record

import (
	"fmt"
	"github.com/google/go-cmp/cmp"
	"github.com/lubod/lubod/sdk/extractor"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// finisher is a process that finds nothing to finish.
func finisher(instance string) *fakeProcess {
	p := newProcess(instance)
	p.recover = func(prefix string) ([]recorder.Segment, error) {
		_ = os.Remove(prefix + "_999.flv.part") // there is no media in it
		return nil, nil
	}
	return p
}

func TestRoomThatWasRecordedInThreeCrashesInARowGetsARecorderOfItsOwn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var keys []string
	last := h.process // the newest process of everybody, or of the room alone
	h.recorders.alone = func(plugin, key string) (*fakeProcess, error) {
		if key == "" {
			p, err := h.recorders.Current(t.Context())
			if err != nil {
				return nil, err
			}
			return p.(*fakeProcess), nil
		}
		if keys = append(keys, plugin+" "+key); last.isDead() {
			last = finisher(fmt.Sprintf("alone %d", len(keys)))
			h.recorders.processes = slices.Insert(h.recorders.processes, 0, last)
		}
		return last, nil
	}
	h.process.recover = finisher("").recover
	s := h.start()
	own := fmt.Sprintf("room-%d", h.streamer.ID)
	for crash := 1; crash <= crashesTogether; crash++ {
		h.process = finisher(fmt.Sprintf("shared %d", crash))
		h.recorders.processes = append(h.recorders.processes, finisher(fmt.Sprintf("spare %d", crash)), h.process)
		last = h.process
		id := h.begin(s)
		h.process.emit(id, recorder.MediaArrived{}, h.closed(id, crash))
		h.untilRows(crash, "segments")
		if crash == crashesTogether {
			h.touch(h.request(id).PathPrefix + "_999.flv.part")
		}
		h.process.kill()
		<-h.asked
	}
	h.until("the file is looked at", func() bool { return strings.Contains(h.logged(), "are taken over") })
	// Its files were finished by a process of the plugin that wrote them already: they may be what brings it down.
	if !slices.Equal(keys, []string{"recorder-fake " + own}) {
		t.Errorf("asked for %q, want one process to recover the files of %s", keys, own)
	}
	h.process = last
	id := h.begin(s)
	if !slices.Equal(keys, []string{"recorder-fake " + own, " " + own}) {
		t.Fatalf("asked for %q, want a process for %s", keys, own)
	}
	// One session that ends in order, and the room is one among others.
	last.emit(id, recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndEOF})
	<-h.asked
	h.process = h.recorders.processes[len(h.recorders.processes)-2] // a spare one
	h.begin(s)
	if len(keys) != 2 {
		t.Errorf("asked for %q", keys)
	}
}

// A recorder that dies of the files of a session dies alone from the third time on.
func TestFilesThatCrashTheRecorderAreRecoveredApart(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var keys []string
	h.recorders.alone = func(plugin, key string) (*fakeProcess, error) {
		keys = append(keys, key)
		p := newProcess("finisher")
		p.recover = func(prefix string) ([]recorder.Segment, error) {
			if key == "" {
				return nil, fmt.Errorf("%w: it died of them", ErrGone)
			}
			return []recorder.Segment{file(prefix, 1)}, nil
		}
		return p, nil
	}
	s := h.start()
	h.touch(h.request(h.begin(s)).PathPrefix + "_001.flv")
	h.process.kill()
	<-h.asked
	h.untilRows(1, "segments")
	if want := []string{"", "", fmt.Sprintf("room-%d", h.streamer.ID)}; !slices.Equal(keys, want) {
		t.Errorf("asked for %q, want %q", keys, want)
	}
}

func TestLostSessionIsRecoveredByItsOwnPlugin(t *testing.T) {
	t.Parallel()
	for name, installed := range map[string]bool{"installed": true, "not installed any more": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			second := newProcess("second")
			second.recover = func(string) ([]recorder.Segment, error) {
				return nil, sdk.Errorf(sdk.Bug, "these are not my files")
			}
			own := newProcess("own")
			own.recover = func(prefix string) ([]recorder.Segment, error) { return []recorder.Segment{file(prefix, 1)}, nil }
			h.recorders.alone = func(plugin, key string) (*fakeProcess, error) {
				if plugin != "recorder-fake" || !installed {
					return nil, ErrUninstalled
				}
				return own, nil
			}
			h.recorders.processes = []*fakeProcess{second, h.process}
			s := h.start()
			h.touch(h.request(h.begin(s)).PathPrefix + "_001.flv")
			h.process.kill()
			h.untilRows(1, "segments") // without its plugin as the file is
		})
	}
}

func TestSuspectsShareProcessesWhenThereAreMany(t *testing.T) {
	var s suspects
	keys := func(rooms int) map[string]int {
		found := map[string]int{}
		for room := 1; room <= rooms; room++ {
			found[s.key(int64(room))]++
		}
		return found
	}
	const rooms = 10 * maxAlone
	for crash := 1; crash <= crashesTogether; crash++ {
		if found := keys(rooms); found[""] != rooms {
			t.Fatalf("before crash %d: %v", crash, found)
		}
		for room := 1; room <= rooms; room++ {
			s.crashed(int64(room))
		}
	}
	if found := keys(rooms); len(found) != maxAlone || found[""] != 0 {
		t.Errorf("%d processes: %v", len(found), found)
	}
	// Those that share a process with the one at fault crash on.
	for range crashesTogether {
		for room := 1; room <= rooms; room++ {
			if s.key(int64(room)) == s.key(1) {
				s.crashed(int64(room))
			}
		}
	}
	if key := s.key(1); key != "room-1" {
		t.Errorf("the room is in %q", key)
	}
	for room := 2; room <= rooms; room++ {
		s.cleared(int64(room))
	}
	if found := keys(rooms); found[""] != rooms-1 || found["room-1"] != 1 {
		t.Errorf("processes: %v", found)
	}
	if s.crashed(0) || s.key(0) != "" {
		t.Error("a deleted room is suspected")
	}
}

func TestRecorderIsChosenByTheRoomAndGetsWhatItReads(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec(`UPDATE configuration SET value = '{"downloader": "other"}'`)
	h.exec(`UPDATE streamers SET override = '{"downloader": "fake"}'`)
	h.reread()
	s := h.start()
	status := live
	status.Streams = []extractor.Stream{
		{URL: "http://cdn/0", Container: "strange"}, {URL: "http://cdn/1", Container: "flv", Priority: 2}, {URL: "http://cdn/2", Container: "hls", Priority: 1},
		{URL: "http://cdn/3", Container: "flv", Priority: 2},
	}
	if err := s.Start(t.Context(), h.streamer, status); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Wanted{{Name: "fake", Containers: []string{"strange", "flv", "hls"}}}, h.recorders.wanted); diff != "" {
		t.Errorf("wanted (-want +got):\n%s", diff)
	}
	var urls []string
	for _, stream := range h.request(h.lastSession()).Streams {
		urls = append(urls, stream.URL)
	}
	if got := strings.Join(urls, " "); got != "http://cdn/2 http://cdn/1 http://cdn/3" {
		t.Errorf("the recorder gets %s", got)
	}
}
