package extractor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/internal/inproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var info = sdk.Info{Name: "toy", Version: "1", Match: []string{`^toy://(?P<room>\d+)(?:/(?P<quality>\w+))?$`, `^toy2://(?P<name>.+)$`}}

type resolve func(ctx context.Context, ref extractor.Ref) (extractor.Status, error)

func (r resolve) Resolve(ctx context.Context, ref extractor.Ref) (extractor.Status, error) {
	return r(ctx, ref)
}

func serve(t *testing.T, r resolve) extractor.Extractor {
	t.Helper()
	in := inproc.Start(t, extractor.Plugin(info, func(context.Context, struct{}) (resolve, error) { return r, nil }))
	if err := in.Configure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return in.Extractor()
}

func TestGroupsComeFromThePatternThatMatched(t *testing.T) {
	for url, want := range map[string]map[string]string{
		"toy://5":      {"room": "5"},
		"toy://5/high": {"room": "5", "quality": "high"},
		"toy2://five":  {"name": "five"},
	} {
		var got map[string]string
		e := serve(t, func(_ context.Context, ref extractor.Ref) (extractor.Status, error) {
			got = ref.Groups
			return extractor.Offline, nil
		})
		if _, err := e.Resolve(t.Context(), extractor.Ref{URL: url}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", url, diff)
		}
	}
}

func TestAnswersThatWouldBeMisread(t *testing.T) {
	for name, status := range map[string]extractor.Status{
		"forgotten State":         {Title: "t", Streams: []extractor.Stream{{URL: "http://x"}}},
		"title of nothing":        {RoomID: "1", Title: "t"},
		"state that there is not": {State: "on air", Streams: []extractor.Stream{{URL: "http://x"}}},
		"restricted, by nothing":  {State: extractor.StateRestricted},
		"live, no stream":         {State: extractor.StateLive},
		"stream without URL":      {State: extractor.StateLive, Streams: []extractor.Stream{{Quality: "origin"}}},
	} {
		e := serve(t, func(context.Context, extractor.Ref) (extractor.Status, error) { return status, nil })
		if _, err := e.Resolve(t.Context(), extractor.Ref{URL: "toy://1"}); sdk.KindOf(err) != sdk.Bug {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPollMayLeaveStreamsOut(t *testing.T) {
	var asked extractor.Purpose
	e := serve(t, func(_ context.Context, ref extractor.Ref) (extractor.Status, error) {
		asked = ref.Purpose
		return extractor.Status{State: extractor.StateLive, RoomID: "1"}, nil
	})
	got, err := e.Resolve(t.Context(), extractor.Ref{URL: "toy://1", Purpose: extractor.PurposePoll})
	if err != nil || !got.Live() || got.RoomID != "1" || asked != extractor.PurposePoll {
		t.Errorf("got %+v, %v, asked %q", got, err, asked)
	}
	if _, err := e.Resolve(t.Context(), extractor.Ref{URL: "toy://1", Purpose: extractor.PurposeStart}); sdk.KindOf(err) != sdk.Bug {
		t.Errorf("to begin a recording: got %v", err)
	}
}

func TestOfflineRoomTellsItsName(t *testing.T) {
	e := serve(t, func(context.Context, extractor.Ref) (extractor.Status, error) {
		return extractor.Status{RoomID: "1"}, nil
	})
	if got, err := e.Resolve(t.Context(), extractor.Ref{URL: "toy://1"}); err != nil || got.Live() || got.RoomID != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTitleThatIsNotUTF8StillArrives(t *testing.T) {
	e := serve(t, func(context.Context, extractor.Ref) (extractor.Status, error) {
		return extractor.Status{State: extractor.StateLive, Title: "直\xe6播", Streams: []extractor.Stream{{URL: "http://x"}}}, nil
	})
	if got, err := e.Resolve(t.Context(), extractor.Ref{URL: "toy://1"}); err != nil || got.Title != "直\uFFFD播" {
		t.Errorf("got %q, %v", got.Title, err)
	}
}

func TestPanicIsABugOfOneCall(t *testing.T) {
	e := serve(t, func(_ context.Context, ref extractor.Ref) (extractor.Status, error) {
		if ref.Groups["room"] == "13" {
			panic(errors.New("bad luck"))
		}
		return extractor.Offline, nil
	})
	_, err := e.Resolve(t.Context(), extractor.Ref{URL: "toy://13"})
	if sdk.KindOf(err) != sdk.Bug || !strings.Contains(err.Error(), "bad luck") || strings.Contains(err.Error(), "goroutine") {
		t.Errorf("got %v", err)
	}
	if _, err := e.Resolve(t.Context(), extractor.Ref{URL: "toy://1"}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestRoomOptionsGoOverThoseOfThePlugin(t *testing.T) {
	type config struct {
		Quality string `json:"quality" default:"origin" allowed:"origin,low"`
		Depth   int    `json:"depth"`
	}
	base := config{Quality: "origin", Depth: 3}
	got, err := extractor.Options(extractor.Ref{Options: []byte(`{"quality":"low"}`)}, base)
	if err != nil || got != (config{Quality: "low", Depth: 3}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := extractor.Options(extractor.Ref{Options: []byte(`{"quality":"best"}`)}, base); sdk.KindOf(err) != sdk.InvalidOption {
		t.Errorf("got %v", err)
	}
}

type sick struct{ resolve }

func (sick) Health(context.Context) error { return sdk.Errorf(sdk.LoginRequired, "cookie ran out") }

func TestHealthIsTheAuthorsWhenThereIsOne(t *testing.T) {
	in := inproc.Start(t, extractor.Plugin(info, func(context.Context, struct{}) (sick, error) { return sick{}, nil }))
	if err := in.Health(t.Context()); err != nil {
		t.Errorf("before configure: %v", err)
	}
	if err := in.Configure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := in.Health(t.Context()); sdk.KindOf(err) != sdk.LoginRequired {
		t.Errorf("got %v", err)
	}
}

func TestPluginIsConfiguredOnce(t *testing.T) {
	built := 0
	in := inproc.Start(t, extractor.Plugin(info, func(context.Context, struct{}) (resolve, error) { built++; return nil, nil }))
	for range 2 { // a host that re-attaches repeats itself
		if err := in.Configure(t.Context(), []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Configure(t.Context(), []byte(` {}`)); sdk.KindOf(err) != sdk.Unsupported {
		t.Errorf("other options: got %v", err)
	}
	if built != 1 {
		t.Errorf("the factory ran %d times", built)
	}
}

func TestFactoryContextLivesAsLongAsTheProcess(t *testing.T) {
	given := make(chan context.Context, 1)
	in := inproc.Start(t, extractor.Plugin(info, func(ctx context.Context, _ struct{}) (resolve, error) { given <- ctx; return nil, nil }))
	if err := in.Configure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	life := <-given
	if life.Err() != nil {
		t.Error("it ended with the call")
	}
	in.Stop()
	if life.Err() == nil {
		t.Error("it goes on after the end")
	}
}

func TestHealthAnswersWhileTheFactoryIsBusy(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	in := inproc.Start(t, extractor.Plugin(info, func(context.Context, struct{}) (resolve, error) {
		close(entered)
		<-leave
		return nil, nil
	}))
	configured := make(chan error, 1)
	go func() { configured <- in.Configure(t.Context(), nil) }()
	<-entered
	if err := in.Health(t.Context()); err != nil {
		t.Error(err)
	}
	close(leave)
	if err := <-configured; err != nil {
		t.Error(err)
	}
}

// batching answers many rooms by a function.
type batching struct {
	resolve
	batch func(refs []extractor.Ref) ([]extractor.BatchAnswer, error)
}

func (b batching) ResolveBatch(_ context.Context, refs []extractor.Ref) ([]extractor.BatchAnswer, error) {
	return b.batch(refs)
}

func TestBatchIsACapability(t *testing.T) {
	alone := inproc.Start(t, extractor.Plugin(info, func(context.Context, struct{}) (resolve, error) { return nil, nil }))
	if d, err := alone.Describe(t.Context()); err != nil || len(d.Capabilities) != 0 {
		t.Errorf("got %+v, %v", d.Capabilities, err)
	}
	if _, err := serve(t, nil).(extractor.BatchResolver).ResolveBatch(t.Context(), []extractor.Ref{{URL: "toy://5"}}); sdk.KindOf(err) != sdk.Unsupported {
		t.Errorf("got %v", err)
	}
	many := inproc.Start(t, extractor.Plugin(info, func(context.Context, struct{}) (batching, error) { return batching{}, nil }))
	if d, err := many.Describe(t.Context()); err != nil || len(d.Capabilities) != 1 || d.Capabilities[0] != sdk.CapabilityResolveBatch {
		t.Errorf("got %+v, %v", d.Capabilities, err)
	}
	if _, err := many.Extractor().ResolveBatch(t.Context(), nil); sdk.KindOf(err) != sdk.Bug {
		t.Errorf("before it is configured: %v", err)
	}
}

func TestBatchAnswersRoomsInTheirOrder(t *testing.T) {
	live := extractor.Status{State: extractor.StateLive, Streams: []extractor.Stream{{URL: "http://x"}}}
	var asked []string
	answers := []extractor.BatchAnswer{{Known: true}, {}, {Known: true, Status: live}}
	var failure error
	in := inproc.Start(t, extractor.Plugin(info, func(context.Context, struct{}) (batching, error) {
		return batching{batch: func(refs []extractor.Ref) ([]extractor.BatchAnswer, error) {
			asked = nil
			for _, ref := range refs {
				asked = append(asked, ref.Groups["room"])
			}
			return answers, failure
		}}, nil
	}))
	if err := in.Configure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	refs := []extractor.Ref{{URL: "toy://1"}, {URL: "other://1"}, {URL: "toy://2"}, {URL: "toy://3"}}
	got, err := in.Extractor().ResolveBatch(t.Context(), refs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]extractor.BatchAnswer{{Known: true}, {}, {}, {Known: true, Status: live}}, got); diff != "" {
		t.Error(diff)
	}
	if strings.Join(asked, " ") != "1 2 3" {
		t.Errorf("the author was asked for %v", asked)
	}
	for name, wrong := range map[string][]extractor.BatchAnswer{"too few": answers[:2], "forgotten Live": {{}, {}, {Known: true, Status: extractor.Status{Title: "t"}}}} {
		answers = wrong
		if _, err := in.Extractor().ResolveBatch(t.Context(), refs); sdk.KindOf(err) != sdk.Bug {
			t.Errorf("%s: %v", name, err)
		}
	}
	failure = sdk.Errorf(sdk.RateLimited, "banned")
	if _, err := in.Extractor().ResolveBatch(t.Context(), refs); sdk.KindOf(err) != sdk.RateLimited {
		t.Errorf("got %v", err)
	}
}

// A person who asks gets what a host gets, refusals included.
func TestPersonGetsWhatAHostGets(t *testing.T) {
	type options struct {
		Title string `json:"title" default:"by default"`
	}
	info := sdk.Info{Name: "toy", Version: "1", Match: []string{`^toy://(?P<room>[0-9]+)`}}
	ask := func(optionsJSON, url string) (string, error) {
		plugin := extractor.Plugin(info, func(_ context.Context, o options) (resolve, error) {
			return func(_ context.Context, ref extractor.Ref) (extractor.Status, error) {
				return extractor.Status{State: extractor.StateLive, RoomID: ref.Groups["room"], Title: o.Title, Streams: []extractor.Stream{{URL: "http://x"}}}, nil
			}, nil
		})
		var out strings.Builder
		err := plugin.Ask(t.Context(), []byte(optionsJSON), url, &out)
		return out.String(), err
	}
	for options, title := range map[string]string{`{}`: "by default", `{"title":"mine"}`: "mine"} {
		answer, err := ask(options, "toy://7")
		for _, want := range []string{title, "STATE_LIVE", `"7"`, "http://x"} {
			if err != nil || !strings.Contains(answer, want) {
				t.Errorf("%s: %v, no %s in %s", options, err, want, answer)
			}
		}
	}
	if _, err := ask(`{"what":1}`, "toy://7"); sdk.KindOf(err) != sdk.InvalidOption {
		t.Errorf("got %v", err)
	}
	if _, err := ask(`{}`, "gopher://7"); sdk.KindOf(err) != sdk.Unsupported {
		t.Errorf("got %v", err)
	}
}
