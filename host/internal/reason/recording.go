package reason

import "github.com/lubod/lubod/sdk"

// The codes of recordings and their files.
const (
	RecordingUnadopted = "recording.unadopted"
)

var recordings = catalogue{
	RecordingUnadopted: {"files of the recording could not be taken over: {cause}", "录像文件尚未能收录：{cause}", Action{Open, "recording"}},

	sdk.CodeDiskFull:   {"no space is left for {path}", "磁盘空间不足，无法写入 {path}", Action{FreeSpace, "host"}},
	sdk.CodeDiskDenied: {"{path} cannot be written: {cause}", "无法写入 {path}：{cause}", Action{Edit, "host"}},
	sdk.CodeDiskKept:   {"what was recorded is kept in {path} and could not be finished yet: {cause}", "已录制的内容保存在 {path}，尚未能完成：{cause}", Action{Open, "recording"}},
}
