package reason

// The codes of submissions.
const (
	SubmissionRefused   = "submission.refused"
	SubmissionNotSent   = "submission.not_sent"
	SubmissionNoAnswer  = "submission.no_answer"
	SubmissionLookup    = "submission.lookup"
	SubmissionLooking   = "submission.looking"
	SubmissionProven    = "submission.proven"
	SubmissionLost      = "submission.lost"
	SubmissionAgain     = "submission.again"
	SubmissionNotReady  = "submission.not_uploaded"
	SubmissionOther     = "submission.other_account"
	SubmissionCover     = "submission.cover"
	SubmissionArchive   = "submission.archive_rejected"
	SubmissionNotPublic = "submission.not_public"
	PieceFragment       = "segment.fragment"
	PieceStray          = "segment.stray"
	PieceUndecided      = "segment.undecided"
	SegmentNever        = "segment.never"
	SegmentNoTemplate   = "segment.no_template"
	SegmentWaived       = "segment.waived"
)

// submissions are the codes of submissions, and of what became of single segments before one.
var submissions = catalogue{
	SubmissionRefused:  {"{cause}", "B 站拒绝了投稿：{cause}", Action{Edit, "submission"}},
	SubmissionNotSent:  {"{cause}", "无法连接 B 站：{cause}", Action{Wait, "submission"}},
	SubmissionNoAnswer: {"{cause}", "B 站没有给出可用的答复：{cause}", Action{Wait, "submission"}},
	SubmissionLookup:   {"{fate}; looking the archive up: {cause}", "{fate}；正在查找稿件：{cause}", Action{Wait, "submission"}},
	SubmissionLooking: {"{fate}; the archive is not in the list yet, which may be minutes late: look {look}, looking on until {until} before anything is sent again",
		"{fate}；稿件列表可能滞后几分钟，尚未出现该稿件：第 {look} 次查找，{until} 之前不会重新投稿", Action{Wait, "submission"}},
	SubmissionProven: {"Bilibili says that an archive with these parts exists, and it is not in the list of this account; look into the creator centre, and retry or waive",
		"B 站表示包含这些分 P 的稿件已存在，但不在此账号的列表里；请到创作中心查看，然后重试或放弃", Action{Open, "submission"}},
	SubmissionLost: {"{attempts} submits were answered as duplicates or not at all, and no archive with these parts is in the list; look into the creator centre and make the archive there",
		"{attempts} 次投稿被答复为重复或没有答复，列表中没有包含这些分 P 的稿件；请到创作中心查看并手动投稿", Action{Open, "submission"}},
	SubmissionAgain:     {"{fate}, and no archive exists: submitting again", "{fate}，且稿件不存在：重新投稿", Action{Wait, "submission"}},
	SubmissionNotReady:  {"segment {index} is not uploaded", "第 {index} 段尚未上传", Action{Wait, "recording"}},
	SubmissionOther:     {"segment {index} was uploaded with account \"{had}\" and belongs to it; set user_cookie of template \"{template}\" back from \"{has}\" to submit", "第 {index} 段由账号“{had}”上传，只能由它投稿；请把模板“{template}”的 user_cookie 从“{has}”改回", Action{Edit, "template"}},
	SubmissionCover:     {"{cover} cannot be used: {cause}; mend it, or the archive is submitted without it {patience} after the end of the recording", "{cover} 无法使用：{cause}；请修复，否则录制结束 {patience} 后将不带封面投稿", Action{Edit, "template"}},
	SubmissionArchive:   {"Bilibili did not publish {bvid}: {words}", "B 站未公开 {bvid}：{words}", Action{Open, "submission"}},
	SubmissionNotPublic: {"files are removed when the archive is public; it is not yet: {words}", "稿件公开后才会移除文件；目前尚未公开：{words}", Action{Wait, "submission"}},
	PieceFragment:       {"the whole recording is smaller than filtering_threshold ({mb} MB)", "整个录像小于 filtering_threshold（{mb} MB）", Action{Edit, "configuration"}},
	PieceStray:          {"smaller than filtering_threshold ({mb} MB), and the pieces left out are together at most 2 % of the recording", "小于 filtering_threshold（{mb} MB），且被略去的碎片总计不超过录像的 2%", Action{Edit, "configuration"}},
	PieceUndecided:      {"smaller than filtering_threshold ({mb} MB); decided when the recording ends", "小于 filtering_threshold（{mb} MB）；录制结束时决定是否投稿", Action{Wait, "recording"}},
	SegmentNever:        {"the room is never published", "该直播间设置为从不投稿", Action{Edit, "streamer"}},
	SegmentNoTemplate:   {"the room has no template", "该直播间没有投稿模板", Action{Edit, "streamer"}},
	SegmentWaived:       {"a person gave it up", "已被人工放弃", Action{Retry, "recording"}},
}
