package convert

import (
	"math"
	"time"

	"github.com/lubod/lubod/sdk"
	commonv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/common/v1"
)

// maxStreams bounds the streams of one room: platforms offer some dozens.
const maxStreams = 256

// Streams maps a list of streams.
func Streams(list []sdk.Stream) []*commonv1.Stream {
	out := make([]*commonv1.Stream, 0, min(len(list), maxStreams))
	for _, s := range first(list, maxStreams) {
		out = append(out, toStream(s))
	}
	return out
}

// FromStreams is Streams backwards. A stream without an address is left out.
func FromStreams(in []*commonv1.Stream) []sdk.Stream {
	var out []sdk.Stream
	for _, s := range first(in, maxStreams) {
		if one := fromStream(s); one.URL != "" {
			out = append(out, one)
		}
	}
	return out
}

func toStream(s sdk.Stream) *commonv1.Stream {
	return &commonv1.Stream{
		Url:              Address(s.URL),
		Headers:          TextMap(s.Headers),
		Container:        Name(s.Container),
		Codec:            Name(s.Codec),
		Quality:          Name(s.Quality),
		RequestedQuality: Name(s.RequestedQuality),
		ConfirmedQuality: Name(s.ConfirmedQuality),
		BitrateKbps:      s.BitrateKbps,
		Cdn:              Name(s.CDN),
		Group:            Name(s.Group),
		Priority:         int32(min(max(s.Priority, math.MinInt32), math.MaxInt32)),
		Audio:            toAudio(s.Audio),
		Lease:            toLease(s.Lease),
		Ads:              toAds(s.Ads),
	}
}

func fromStream(in *commonv1.Stream) sdk.Stream {
	return sdk.Stream{
		URL:              Address(in.GetUrl()),
		Headers:          TextMap(in.GetHeaders()),
		Container:        Name(in.GetContainer()),
		Codec:            Name(in.GetCodec()),
		Quality:          Name(in.GetQuality()),
		RequestedQuality: Name(in.GetRequestedQuality()),
		ConfirmedQuality: Name(in.GetConfirmedQuality()),
		BitrateKbps:      in.GetBitrateKbps(),
		CDN:              Name(in.GetCdn()),
		Group:            Name(in.GetGroup()),
		Priority:         int(in.GetPriority()),
		Audio:            fromAudio(in.GetAudio()),
		Lease:            fromLease(in.GetLease()),
		Ads:              fromAds(in.GetAds()),
	}
}

func toAudio(a *sdk.AudioSource) *commonv1.AudioSource {
	if a == nil {
		return nil
	}
	return &commonv1.AudioSource{
		Url: Address(a.URL), Headers: TextMap(a.Headers), Container: Name(a.Container), Codec: Name(a.Codec), BitrateKbps: a.BitrateKbps,
	}
}

func fromAudio(in *commonv1.AudioSource) *sdk.AudioSource {
	if Address(in.GetUrl()) == "" {
		return nil
	}
	return &sdk.AudioSource{
		URL: Address(in.GetUrl()), Headers: TextMap(in.GetHeaders()), Container: Name(in.GetContainer()), Codec: Name(in.GetCodec()),
		BitrateKbps: in.GetBitrateKbps(),
	}
}

func toLease(l sdk.Lease) *commonv1.Lease {
	if l == (sdk.Lease{}) {
		return nil
	}
	return &commonv1.Lease{
		IssuedAt:       Time(l.IssuedAt),
		RefreshAt:      Time(l.RefreshAt),
		InvalidAt:      Time(l.InvalidAt),
		CutsConnection: l.CutsConnection,
		SingleUse:      l.SingleUse,
		AddressBound:   l.AddressBound,
	}
}

func fromLease(in *commonv1.Lease) sdk.Lease {
	return sdk.Lease{
		IssuedAt:       FromTime(in.GetIssuedAt()),
		RefreshAt:      FromTime(in.GetRefreshAt()),
		InvalidAt:      FromTime(in.GetInvalidAt()),
		CutsConnection: in.GetCutsConnection(),
		SingleUse:      in.GetSingleUse(),
		AddressBound:   in.GetAddressBound(),
	}
}

func toAds(a *sdk.AdRule) *commonv1.AdRule {
	if a == nil {
		return nil
	}
	return &commonv1.AdRule{
		TitleContains: names(a.TitleContains), DateRangeClasses: names(a.DateRangeClasses), DateRangeIdPrefixes: names(a.DateRangeIDPrefixes),
	}
}

func fromAds(in *commonv1.AdRule) *sdk.AdRule {
	if in == nil {
		return nil
	}
	return &sdk.AdRule{
		TitleContains: names(in.GetTitleContains()), DateRangeClasses: names(in.GetDateRangeClasses()),
		DateRangeIDPrefixes: names(in.GetDateRangeIdPrefixes()),
	}
}

// Failure maps an error inside an answer.
func Failure(err *sdk.Error) *commonv1.Failure {
	if err == nil {
		return nil
	}
	return &commonv1.Failure{
		Kind: string(err.Kind), Message: Text(err.Message), RetryAfterMs: err.RetryAfter.Milliseconds(),
		Cause: Name(string(err.Cause)), Code: Name(err.Code), Args: TextMap(err.Args),
	}
}

// FromFailure is Failure backwards. A kind that this version does not know is sdk.Bug.
func FromFailure(in *commonv1.Failure) *sdk.Error {
	if in == nil {
		return nil
	}
	kind := sdk.Kind(in.GetKind())
	if !kind.Known() {
		kind = sdk.Bug
	}
	const century = 100 * 365 * 24 * time.Hour
	wait := time.Duration(min(max(in.GetRetryAfterMs(), 0), century.Milliseconds())) * time.Millisecond
	return &sdk.Error{
		Kind: kind, Message: Text(in.GetMessage()), RetryAfter: wait,
		Cause: sdk.Cause(Name(in.GetCause())), Code: Name(in.GetCode()), Args: TextMap(in.GetArgs()),
	}
}

var causes = NewEnum(map[sdk.GapCause]commonv1.GapCause{
	sdk.GapUnknown:         commonv1.GapCause_GAP_CAUSE_UNSPECIFIED,
	sdk.GapDetectLate:      commonv1.GapCause_GAP_CAUSE_DETECT_LATE,
	sdk.GapStreamLost:      commonv1.GapCause_GAP_CAUSE_STREAM_LOST,
	sdk.GapStreamStalled:   commonv1.GapCause_GAP_CAUSE_STREAM_STALLED,
	sdk.GapURLRefused:      commonv1.GapCause_GAP_CAUSE_URL_REFUSED,
	sdk.GapHLSMissing:      commonv1.GapCause_GAP_CAUSE_HLS_MISSING,
	sdk.GapKeyframeWait:    commonv1.GapCause_GAP_CAUSE_KEYFRAME_WAIT,
	sdk.GapRepairDropped:   commonv1.GapCause_GAP_CAUSE_REPAIR_DROPPED,
	sdk.GapRuleWindow:      commonv1.GapCause_GAP_CAUSE_RULE_WINDOW,
	sdk.GapRuleKeyword:     commonv1.GapCause_GAP_CAUSE_RULE_KEYWORD,
	sdk.GapRulePaused:      commonv1.GapCause_GAP_CAUSE_RULE_PAUSED,
	sdk.GapRuleLimit:       commonv1.GapCause_GAP_CAUSE_RULE_LIMIT,
	sdk.GapLoginRequired:   commonv1.GapCause_GAP_CAUSE_LOGIN_REQUIRED,
	sdk.GapDiskFull:        commonv1.GapCause_GAP_CAUSE_DISK_FULL,
	sdk.GapRecorderCrashed: commonv1.GapCause_GAP_CAUSE_RECORDER_CRASHED,
	sdk.GapHostDown:        commonv1.GapCause_GAP_CAUSE_HOST_DOWN,
	sdk.GapMachineDown:     commonv1.GapCause_GAP_CAUSE_MACHINE_DOWN,
	sdk.GapAdvertisement:   commonv1.GapCause_GAP_CAUSE_ADVERTISEMENT,
})

// GapCause maps a cause.
func GapCause(c sdk.GapCause) commonv1.GapCause {
	return causes.To(c, commonv1.GapCause_GAP_CAUSE_UNSPECIFIED)
}

// FromGapCause is GapCause backwards.
func FromGapCause(in commonv1.GapCause) sdk.GapCause { return causes.From(in, sdk.GapUnknown) }
