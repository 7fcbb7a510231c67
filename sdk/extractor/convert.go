package extractor

import (
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/convert"
	extractorv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/extractor/v1"
)

var purposes = convert.NewEnum(map[Purpose]extractorv1.Purpose{
	PurposeAll:     extractorv1.Purpose_PURPOSE_UNSPECIFIED,
	PurposePoll:    extractorv1.Purpose_PURPOSE_POLL,
	PurposeStart:   extractorv1.Purpose_PURPOSE_START,
	PurposeRefresh: extractorv1.Purpose_PURPOSE_REFRESH,
})

var states = convert.NewEnum(map[State]extractorv1.State{
	StateOffline:    extractorv1.State_STATE_OFFLINE,
	StateUpcoming:   extractorv1.State_STATE_UPCOMING,
	StateLive:       extractorv1.State_STATE_LIVE,
	StateReplay:     extractorv1.State_STATE_REPLAY,
	StateRestricted: extractorv1.State_STATE_RESTRICTED,
})

var restrictions = convert.NewEnum(map[Restriction]extractorv1.Restriction{
	"":                  extractorv1.Restriction_RESTRICTION_UNSPECIFIED,
	RestrictionPassword: extractorv1.Restriction_RESTRICTION_PASSWORD,
	RestrictionPaid:     extractorv1.Restriction_RESTRICTION_PAID,
	RestrictionDRM:      extractorv1.Restriction_RESTRICTION_DRM,
	RestrictionMembers:  extractorv1.Restriction_RESTRICTION_MEMBERS,
	RestrictionRegion:   extractorv1.Restriction_RESTRICTION_REGION,
	RestrictionLogin:    extractorv1.Restriction_RESTRICTION_LOGIN,
	RestrictionAge:      extractorv1.Restriction_RESTRICTION_AGE,
	RestrictionOther:    extractorv1.Restriction_RESTRICTION_OTHER,
})

func toRequest(ref Ref) *extractorv1.ResolveRequest {
	out := &extractorv1.ResolveRequest{
		Url: convert.Text(ref.URL), OptionsJson: ref.Options, Purpose: purposes.To(ref.Purpose, extractorv1.Purpose_PURPOSE_UNSPECIFIED),
	}
	if c := ref.Credentials; c != nil {
		out.Credentials = &extractorv1.Credentials{Cookies: convert.TextMap(c.Cookies), Token: convert.Text(c.Token)}
	}
	return out
}

func fromRequest(in *extractorv1.ResolveRequest) Ref {
	ref := Ref{URL: in.GetUrl(), Options: in.GetOptionsJson(), Purpose: purposes.From(in.GetPurpose(), PurposeAll)}
	if c := in.GetCredentials(); c != nil {
		ref.Credentials = &Credentials{Cookies: c.GetCookies(), Token: c.GetToken()}
	}
	return ref
}

func toResponse(s Status) *extractorv1.ResolveResponse {
	return &extractorv1.ResolveResponse{Status: toStatus(s)}
}

func toResult(a BatchAnswer) *extractorv1.BatchResult {
	if !a.Known {
		return &extractorv1.BatchResult{}
	}
	return &extractorv1.BatchResult{Status: toStatus(a.Status)}
}

// fromResult takes a room whose state this version does not know as one that the batch told nothing of.
func fromResult(in *extractorv1.BatchResult) BatchAnswer {
	status, err := fromStatus(in.GetStatus())
	if in.GetStatus() == nil || err != nil {
		return BatchAnswer{}
	}
	return BatchAnswer{Known: true, Status: status}
}

func toStatus(s Status) *extractorv1.Status {
	return &extractorv1.Status{
		State:       states.To(s.State, extractorv1.State_STATE_UNSPECIFIED),
		RoomId:      convert.Name(s.RoomID),
		BroadcastId: convert.Name(s.BroadcastID),
		Title:       convert.Name(s.Title),
		Streamer:    convert.Name(s.Streamer),
		AvatarUrl:   convert.Address(s.AvatarURL),
		CoverUrl:    convert.Address(s.CoverURL),
		Category:    convert.Name(s.Category),
		StartedAt:   convert.Time(s.StartedAt),
		ScheduledAt: convert.Time(s.ScheduledAt),
		Restriction: restrictions.To(s.Restriction, extractorv1.Restriction_RESTRICTION_OTHER),
		Streams:     convert.Streams(s.Streams),
		Unasked:     s.Unasked,
	}
}

// fromStatus never takes a state that it does not know for offline, which would end a recording.
func fromStatus(in *extractorv1.Status) (Status, error) {
	state, known := states.Known(in.GetState())
	if !known {
		return Status{}, sdk.Errorf(sdk.Bug, "the extractor answered with a state of the room that this version does not know: %d", in.GetState())
	}
	return Status{
		State:       state,
		RoomID:      convert.Name(in.GetRoomId()),
		BroadcastID: convert.Name(in.GetBroadcastId()),
		Title:       convert.Name(in.GetTitle()),
		Streamer:    convert.Name(in.GetStreamer()),
		AvatarURL:   convert.Address(in.GetAvatarUrl()),
		CoverURL:    convert.Address(in.GetCoverUrl()),
		Category:    convert.Name(in.GetCategory()),
		StartedAt:   convert.FromTime(in.GetStartedAt()),
		ScheduledAt: convert.FromTime(in.GetScheduledAt()),
		Restriction: restrictions.From(in.GetRestriction(), RestrictionOther),
		Streams:     convert.FromStreams(in.GetStreams()),
		Unasked:     in.GetUnasked(),
	}, nil
}
