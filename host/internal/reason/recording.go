package reason

import "github.com/lubod/lubod/sdk"

// The codes of recordings and their files.
const (
	RecordingUnadopted  = "recording.unadopted"
	RecordingNoRecorder = "recording.no_recorder"
	RecordingUnreadable = "recording.unreadable"
	RecordingRefused    = "recording.refused"
	RecordingVanished   = "recording.vanished"
	RecordingNothing    = "recording.nothing"
	RecordingUntrusted  = "recording.untrusted"
)

var recordings = catalogue{
	RecordingUnadopted:  {"files of the recording are not taken over yet: {cause}", "录像文件尚未收录：{cause}", Action{Open, "recording"}},
	RecordingNoRecorder: {"{files} cannot be finished: {plugin} is not installed any more, or cannot do that; what was finished is published", "{files} 无法完成：{plugin} 已不再安装或不具备该能力；已完成的部分照常发布", Action{Edit, "plugins"}},
	RecordingUnreadable: {"{files}: there is no media in it that could be saved; what was finished is published", "{files}：其中没有可挽救的媒体内容；已完成的部分照常发布", Action{Open, "recording"}},
	RecordingRefused:    {"{files} cannot be taken over: the database refuses it: {cause}", "{files} 无法收录：数据库拒绝写入：{cause}", Action{Open, "recording"}},
	RecordingVanished:   {"{files} disappeared before it was taken over", "{files} 在收录之前消失了", Action{Open, "recording"}},
	RecordingUntrusted:  {"the recorder told of {files}, and {problem}: it is neither published nor touched", "录制器报告了 {files}，但{problem}：不会发布，也不会改动它", Action{Edit, "plugins"}},
	RecordingNothing:    {"the recorder died, and no file is left of what it received", "录制器异常退出，已接收的内容没有留下任何文件", Action{Open, "recording"}},

	sdk.CodeDiskFull:   {"no space is left for {path}", "磁盘空间不足，无法写入 {path}", Action{FreeSpace, "host"}},
	sdk.CodeDiskDenied: {"{path} cannot be written: {cause}", "无法写入 {path}：{cause}", Action{Edit, "host"}},
	sdk.CodeDiskKept:   {"what was recorded is kept in {path} and could not be finished yet: {cause}", "已录制的内容保存在 {path}，尚未能完成：{cause}", Action{Open, "recording"}},
}
