package reason

// The codes of recordings and their files.
const (
	RecordingUnadopted = "recording.unadopted"
)

var recordings = catalogue{
	RecordingUnadopted: {"files of the recording could not be taken over: {cause}", "录像文件尚未能收录：{cause}", Action{Open, "recording"}},
}
