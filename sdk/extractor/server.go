package extractor

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/lubod/lubod/sdk"
	extractorv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/extractor/v1"
)

// server answers the host with an author's Extractor.
type server struct {
	extractorv1.UnimplementedExtractorServiceServer
	ready atomic.Pointer[configured]
	// batches: the author's type is known to implement BatchResolver.
	batches bool
}

type configured struct {
	extractor Extractor
	patterns  []*regexp.Regexp
}

func (s *server) register(r grpc.ServiceRegistrar) { extractorv1.RegisterExtractorServiceServer(r, s) }

func (s *server) configure(info sdk.Info, e Extractor) {
	c := &configured{extractor: e}
	for _, pattern := range info.Match {
		c.patterns = append(c.patterns, regexp.MustCompile(pattern)) // checked at start
	}
	s.ready.Store(c)
}

func (s *server) health(ctx context.Context) error {
	if h, ok := s.ready.Load().extractor.(sdk.HealthChecker); ok {
		return h.Health(ctx)
	}
	return nil
}

// Resolve implements extractorv1.ExtractorServiceServer.
func (s *server) Resolve(ctx context.Context, in *extractorv1.ResolveRequest) (*extractorv1.ResolveResponse, error) {
	c := s.ready.Load()
	if c == nil {
		return nil, sdk.Errorf(sdk.Bug, "the host did not configure the plugin before its first call")
	}
	ref := fromRequest(in)
	groups, ok := c.match(ref.URL)
	if !ok {
		return nil, sdk.Errorf(sdk.Unsupported, "%s is not a URL of this plugin", ref.URL)
	}
	ref.Groups = groups
	status, err := c.extractor.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	if err := check(status, ref.Purpose); err != nil {
		return nil, err
	}
	return toResponse(status), nil
}

// ask answers a person as Resolve answers a host, through the same checks and conversions.
func (s *server) ask(ctx context.Context, url string, out io.Writer) error {
	answer, err := s.Resolve(ctx, toRequest(Ref{URL: url}))
	if err != nil {
		return err
	}
	encoded, err := protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Marshal(answer.GetStatus())
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n", encoded)
	return err
}

func (s *server) capabilities() []string {
	batches := s.batches
	if c := s.ready.Load(); c != nil {
		_, batches = c.extractor.(BatchResolver)
	}
	if batches {
		return []string{sdk.CapabilityResolveBatch}
	}
	return nil
}

// ResolveBatch implements extractorv1.ExtractorServiceServer.
func (s *server) ResolveBatch(ctx context.Context, in *extractorv1.ResolveBatchRequest) (*extractorv1.ResolveBatchResponse, error) {
	c := s.ready.Load()
	if c == nil {
		return nil, sdk.Errorf(sdk.Bug, "the host did not configure the plugin before its first call")
	}
	resolver, ok := c.extractor.(BatchResolver)
	if !ok {
		return nil, sdk.Errorf(sdk.Unsupported, "this extractor cannot ask about many rooms at once")
	}
	out := &extractorv1.ResolveBatchResponse{}
	var refs []Ref
	var places []int
	for i, room := range in.GetRooms() {
		out.Results = append(out.Results, &extractorv1.BatchResult{})
		ref := fromRequest(room)
		if ref.Groups, ok = c.match(ref.URL); ok { // another URL stays unknown: Resolve refuses it
			refs, places = append(refs, ref), append(places, i)
		}
	}
	if len(refs) == 0 {
		return out, nil
	}
	answers, err := resolver.ResolveBatch(ctx, refs)
	if err != nil {
		return nil, err
	}
	if len(answers) != len(refs) {
		return nil, sdk.Errorf(sdk.Bug, "the extractor answered %d of %d rooms", len(answers), len(refs))
	}
	for i, answer := range answers {
		if err := check(answer.Status, PurposePoll); answer.Known && err != nil {
			return nil, err
		}
		out.Results[places[i]] = toResult(answer)
	}
	return out, nil
}

// match returns the named groups of the first pattern that matches.
func (c *configured) match(url string) (map[string]string, bool) {
	for _, p := range c.patterns {
		found := p.FindStringSubmatch(url)
		if found == nil {
			continue
		}
		groups := map[string]string{}
		for i, name := range p.SubexpNames() {
			if name != "" && found[i] != "" {
				groups[name] = found[i]
			}
		}
		return groups, true
	}
	return nil, false
}

// check refuses answers that would be misread: a forgotten State would end a recording.
func check(s Status, purpose Purpose) error {
	switch {
	case states.To(s.State, extractorv1.State_STATE_UNSPECIFIED) == extractorv1.State_STATE_UNSPECIFIED:
		return sdk.Errorf(sdk.Bug, "the extractor answered with a state that there is not: %q", s.State)
	case s.State == StateOffline && (len(s.Streams) > 0 || s.BroadcastID != "" || s.Unasked || !s.StartedAt.IsZero() || s.Title != ""):
		return sdk.Errorf(sdk.Bug, "the extractor filled a Status but did not set State; offline is the zero Status, with nothing of a broadcast")
	case (s.State == StateRestricted) != (s.Restriction != ""):
		return sdk.Errorf(sdk.Bug, "the extractor answered with the state %q and the restriction %q", s.State, s.Restriction)
	case s.Live() && len(s.Streams) == 0 && purpose != PurposePoll:
		return sdk.Errorf(sdk.Bug, "the extractor says live without a stream")
	}
	for i, stream := range s.Streams {
		if stream.URL == "" {
			return sdk.Errorf(sdk.Bug, "stream %d of the extractor's answer has no URL", i)
		}
	}
	return nil
}
