package extractor

import (
	"github.com/lubod/lubod/sdk/internal/convert"
	extractorv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/extractor/v1"
)

func toRequest(ref Ref) *extractorv1.ResolveRequest {
	out := &extractorv1.ResolveRequest{Url: convert.Text(ref.URL), OptionsJson: ref.Options}
	if c := ref.Credentials; c != nil {
		out.Credentials = &extractorv1.Credentials{Cookies: convert.TextMap(c.Cookies), Token: convert.Text(c.Token)}
	}
	return out
}

func fromRequest(in *extractorv1.ResolveRequest) Ref {
	ref := Ref{URL: in.GetUrl(), Options: in.GetOptionsJson()}
	if c := in.GetCredentials(); c != nil {
		ref.Credentials = &Credentials{Cookies: c.GetCookies(), Token: c.GetToken()}
	}
	return ref
}

func toResponse(s Status) *extractorv1.ResolveResponse {
	return &extractorv1.ResolveResponse{Live: toLive(s)}
}

func toResult(a BatchAnswer) *extractorv1.BatchResult {
	if !a.Known {
		return &extractorv1.BatchResult{}
	}
	return &extractorv1.BatchResult{Known: true, Live: toLive(a.Status)}
}

func fromResult(in *extractorv1.BatchResult) BatchAnswer {
	if !in.GetKnown() {
		return BatchAnswer{}
	}
	return BatchAnswer{Known: true, Status: fromLive(in.GetLive())}
}

// toLive returns nil for a room that is offline.
func toLive(s Status) *extractorv1.Live {
	if !s.Live {
		return nil
	}
	live := &extractorv1.Live{
		Title:     convert.Text(s.Title),
		Streamer:  convert.Text(s.Streamer),
		AvatarUrl: convert.Text(s.AvatarURL),
		CoverUrl:  convert.Text(s.CoverURL),
		Category:  convert.Text(s.Category),
		StartedAt: convert.Time(s.StartedAt),
		Unasked:   s.Unasked,
	}
	for _, stream := range s.Streams {
		live.Streams = append(live.Streams, toStream(stream))
	}
	return live
}

func fromResponse(in *extractorv1.ResolveResponse) Status { return fromLive(in.GetLive()) }

func fromLive(live *extractorv1.Live) Status {
	if live == nil {
		return Offline
	}
	s := Status{
		Live:      true,
		Title:     live.GetTitle(),
		Streamer:  live.GetStreamer(),
		AvatarURL: live.GetAvatarUrl(),
		CoverURL:  live.GetCoverUrl(),
		Category:  live.GetCategory(),
		StartedAt: convert.FromTime(live.GetStartedAt()),
		Unasked:   live.GetUnasked(),
	}
	for _, stream := range live.GetStreams() {
		s.Streams = append(s.Streams, fromStream(stream))
	}
	return s
}

func toStream(s Stream) *extractorv1.Stream {
	return &extractorv1.Stream{
		Url:         convert.Text(s.URL),
		Quality:     convert.Text(s.Quality),
		Container:   convert.Text(s.Container),
		Codec:       convert.Text(s.Codec),
		Cdn:         convert.Text(s.CDN),
		Headers:     convert.TextMap(s.Headers),
		ExpiresAt:   convert.Time(s.ExpiresAt),
		BitrateKbps: s.BitrateKbps,
	}
}

func fromStream(in *extractorv1.Stream) Stream {
	return Stream{
		URL:         in.GetUrl(),
		Quality:     in.GetQuality(),
		Container:   in.GetContainer(),
		Codec:       in.GetCodec(),
		CDN:         in.GetCdn(),
		Headers:     in.GetHeaders(),
		ExpiresAt:   convert.FromTime(in.GetExpiresAt()),
		BitrateKbps: in.GetBitrateKbps(),
	}
}
