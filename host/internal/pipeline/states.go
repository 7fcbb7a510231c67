package pipeline

import "slices"

// Publish says whether a segment is part of what is published.
type Publish string

// The decisions about a segment.
const (
	Undecided Publish = "undecided" // a piece below filtering_threshold: decided when the recording ends
	Wanted    Publish = "wanted"    // part of the submission
	Filtered  Publish = "filtered"  // such a piece that is left out
	Never     Publish = "never"     // the room publishes nothing
	Waived    Publish = "waived"    // a person gave it up
)

// UploadState is where the transfer of a segment stands.
type UploadState string

// The states of an upload.
const (
	UploadPending   UploadState = "pending"   // waits for its turn, or its next try
	UploadUploading UploadState = "uploading" // a line is at it
	UploadUploaded  UploadState = "uploaded"  // stored at Bilibili
	UploadFailed    UploadState = "failed"    // a person has to look
)

// RunState is where a hook run stands.
type RunState string

// The states of a hook run.
const (
	RunPending RunState = "pending" // waits for its turn, or its next try
	RunRunning RunState = "running" // a step is under way
	RunHeld    RunState = "held"    // a step failed, and a person has to look before anything goes on
	RunDone    RunState = "done"    // over
)

// SubmissionState is where an archive stands until Bilibili has accepted all of it.
type SubmissionState string

// The states of a submission.
const (
	SubmissionWaiting    SubmissionState = "waiting"    // for an account, or a pause that Bilibili asked for
	SubmissionSubmitting SubmissionState = "submitting" // the answer is outstanding
	SubmissionUnknown    SubmissionState = "unknown"    // the answer was lost and is looked up
	SubmissionAppending  SubmissionState = "appending"  // the archive exists; further parts are added by edits
	SubmissionAccepted   SubmissionState = "accepted"   // Bilibili took all of it
	SubmissionFailed     SubmissionState = "failed"     // a person has to look
)

// Archive is what became of an archive after it was accepted.
type Archive string

// The fates of an archive.
const (
	ArchiveNone      Archive = "none"      // it is not made yet
	ArchiveReview    Archive = "review"    // Bilibili transcodes or reviews it
	ArchiveScheduled Archive = "scheduled" // it becomes public at a set time
	ArchivePublic    Archive = "public"    // everybody can see it
	ArchiveRejected  Archive = "rejected"  // transcoding failed, or a reviewer refused it
	ArchiveUnknown   Archive = "unknown"   // nothing came of it for a month
)

// Stage says when a hook runs. The values are the names of the API's fields.
type Stage string

// The stages, in the order in which a recording comes to them.
const (
	Preprocessor        Stage = "preprocessor"         // before a recording begins
	SegmentProcessor    Stage = "segment_processor"    // for each closed segment, before its upload
	DownloadedProcessor Stage = "downloaded_processor" // when a recording has ended
	Postprocessor       Stage = "postprocessor"        // when nothing of it is left to publish
)

// RecordingState is where a live session stands.
type RecordingState string

// The states of a recording.
const (
	RecordingLive    RecordingState = "recording" // a session feeds it
	RecordingWaiting RecordingState = "waiting"   // for the room to come back
	RecordingEnded   RecordingState = "ended"
)

// The tables say from which state which other ones are reached. Whatever is not here does not happen: statements that change a
// state name those that it may come from.
var (
	publishes = map[Publish][]Publish{
		Undecided: {Wanted, Filtered},
		Wanted:    {Waived},
		Waived:    {Wanted},
		Filtered:  {Wanted}, // what was found later makes it part of a broadcast
		Never:     {},
	}
	uploadStates = map[UploadState][]UploadState{
		UploadPending:   {UploadUploading, UploadPending, UploadFailed},
		UploadUploading: {UploadUploading, UploadPending, UploadUploaded, UploadFailed},
		UploadFailed:    {UploadPending},
		UploadUploaded:  {},
	}
	runStates = map[RunState][]RunState{
		RunPending: {RunRunning, RunPending, RunHeld, RunDone},
		RunRunning: {RunRunning, RunPending, RunHeld, RunDone},
		RunHeld:    {RunPending},
		RunDone:    {},
	}
	submissionStates = map[SubmissionState][]SubmissionState{
		SubmissionWaiting:    {SubmissionSubmitting, SubmissionWaiting, SubmissionFailed},
		SubmissionSubmitting: {SubmissionAccepted, SubmissionAppending, SubmissionUnknown, SubmissionWaiting, SubmissionFailed},
		SubmissionUnknown:    {SubmissionUnknown, SubmissionAccepted, SubmissionAppending, SubmissionWaiting, SubmissionFailed},
		SubmissionAppending:  {SubmissionAppending, SubmissionAccepted, SubmissionFailed},
		SubmissionAccepted:   {SubmissionAppending},
		SubmissionFailed:     {SubmissionWaiting, SubmissionUnknown, SubmissionAppending},
	}
	archives = map[Archive][]Archive{
		ArchiveNone:      {ArchiveReview},
		ArchiveReview:    {ArchiveReview, ArchiveScheduled, ArchivePublic, ArchiveRejected, ArchiveUnknown},
		ArchiveScheduled: {ArchiveScheduled, ArchiveReview, ArchivePublic, ArchiveRejected, ArchiveUnknown},
		ArchiveRejected:  {ArchiveRejected, ArchiveReview, ArchiveScheduled, ArchivePublic, ArchiveUnknown},
		ArchivePublic:    {ArchiveReview},
		ArchiveUnknown:   {ArchiveReview, ArchivePublic},
	}
)

// forPersons are states that a person has to look at: no worker leads out of them, whatever it still finds out.
var forPersons = texts(string(UploadFailed), string(RunHeld), string(SubmissionFailed))

// before lists the states from which workers come to a state, in the form that statements take. What a person begins anew names
// its states itself.
func before[S ~string](table map[S][]S, to S) []string {
	var from []string
	for state, next := range table {
		if slices.Contains(next, to) && !slices.Contains(forPersons, string(state)) {
			from = append(from, string(state))
		}
	}
	slices.Sort(from)
	return from
}

// texts are a list of states in the form that statements take.
func texts[S ~string](states ...S) []string {
	list := make([]string, 0, len(states))
	for _, state := range states {
		list = append(list, string(state))
	}
	return list
}
