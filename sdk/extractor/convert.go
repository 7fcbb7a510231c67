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
	if !s.Live {
		return &extractorv1.ResolveResponse{}
	}
	live := &extractorv1.Live{
		Title:     convert.Text(s.Title),
		Streamer:  convert.Text(s.Streamer),
		AvatarUrl: convert.Text(s.AvatarURL),
		CoverUrl:  convert.Text(s.CoverURL),
		Category:  convert.Text(s.Category),
		StartedAt: convert.Time(s.StartedAt),
	}
	for _, stream := range s.Streams {
		live.Streams = append(live.Streams, toStream(stream))
	}
	return &extractorv1.ResolveResponse{Live: live}
}

func fromResponse(in *extractorv1.ResolveResponse) Status {
	live := in.GetLive()
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
