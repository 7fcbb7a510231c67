package bilibili

// Codes of the creator, account and passport roles.
const (
	codeNotLoggedIn   = -101
	codeCSRF          = -111
	codeBadRequest    = -400
	codeNotFound      = -404
	codeBadSign       = -3
	codeRiskControl   = -352
	codeTooFrequent   = -702
	codeCaptcha       = 601
	codeUsedElsewhere = 10009
	codeParameter     = 21001
	codeTags          = 21005
	codePublishTime   = 21006
	codeNoDescription = 21010
	codeNoVideos      = 21011
	codeDuplicate     = 21012
	codeNoSource      = 21021
	codeTooManyParts  = 21058
	codeTooFast       = 21070
	codeTitle         = 21103
	codePartTitle     = 21104
	codeDescription   = 21160
	codeClosed        = 21590
	codeTooOften      = 137022
	codeTagForbidden  = 16025

	codeQRPending = 86039
	codeQRScanned = 86090
	codeQRExpired = 86038
)

// messages that the real service gives with a code, for faults that name only the code.
var messages = map[int]string{
	codeNotLoggedIn:   "账号未登录",
	codeCSRF:          "csrf 校验失败",
	codeBadRequest:    "请求错误",
	codeNotFound:      "啥都木有",
	codeBadSign:       "API校验密匙错误",
	codeRiskControl:   "风控校验失败",
	-403:              "访问权限不足",
	-405:              "不支持该方法",
	-500:              "服务器错误",
	-502:              "网关错误",
	-503:              "服务暂不可用",
	-504:              "服务调用超时",
	-509:              "请求过于频繁，请稍后再试",
	-799:              "请求过于频繁，请稍后再试",
	20042:             "标签查询出错",
	codeTooFrequent:   "请求频率过高,请稍后再试",
	codeCaptcha:       "请输入验证码信息",
	codeUsedElsewhere: "同一个视频,不能短时间同时提交到不同稿件",
	20001:             "服务内部错误",
	codeParameter:     "参数错误",
	codeTags:          "标签不符合规则",
	codePublishTime:   "定时发布时间不合法",
	codeNoDescription: "简介不能为空",
	codeNoVideos:      "没有视频",
	codeDuplicate:     "请不要重复提交稿件",
	codeNoSource:      "转载来源不能为空",
	codeTooManyParts:  "分P数量超过限制",
	codeTooFast:       "您投稿的频率过快，请稍等30秒",
	codeTitle:         "标题过长",
	codePartTitle:     "分P标题过长",
	21138:             "当前投稿方式不可用",
	21150:             "投稿入口已关闭",
	codeDescription:   "简介过长",
	21564:             "投稿过于频繁，请24小时后再试",
	21566:             "投稿过于频繁，请升级客户端后再试",
	codeClosed:        "客户端投稿入口已关闭",
	codeTooOften:      "投稿过于频繁，请稍后再试",
	codeTagForbidden:  "标签不可用",
}

func message(code int) string {
	if text, ok := messages[code]; ok {
		return text
	}
	return "错误"
}
