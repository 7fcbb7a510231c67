package reason

import "github.com/lubod/lubod/sdk"

// The codes of errors that say no more than their kind.
const (
	ErrorNotFound      = "error.not_found"
	ErrorLoginRequired = "error.login_required"
	ErrorForbidden     = "error.forbidden"
	ErrorPassword      = "error.password"
	ErrorPaid          = "error.paid"
	ErrorRegion        = "error.region"
	ErrorRateLimited   = "error.rate_limited"
	ErrorChallenged    = "error.challenged"
	ErrorUnavailable   = "error.unavailable"
	ErrorInvalidOption = "error.invalid_option"
	ErrorUnsupported   = "error.unsupported"
	ErrorCorrupt       = "error.corrupt"
	ErrorBug           = "error.bug"
	ErrorOther         = "error.other"
)

var kinds = map[sdk.Kind]string{
	sdk.NotFound: ErrorNotFound, sdk.LoginRequired: ErrorLoginRequired, sdk.Forbidden: ErrorForbidden, sdk.RateLimited: ErrorRateLimited,
	sdk.Challenged: ErrorChallenged, sdk.Unavailable: ErrorUnavailable, sdk.InvalidOption: ErrorInvalidOption,
	sdk.Unsupported: ErrorUnsupported, sdk.Corrupt: ErrorCorrupt, sdk.Bug: ErrorBug,
}

// The texts of these are the error's own: only the code and the action are ours.
var general = catalogue{
	ErrorNotFound:      {"{text}", "找不到：{text}", Action{Edit, "streamer"}},
	ErrorLoginRequired: {"{text}", "需要登录：{text}", Action{Login, "streamer"}},
	ErrorForbidden:     {"{text}", "没有权限：{text}", Action{Edit, "streamer"}},
	ErrorPassword:      {"{text}", "需要密码：{text}", Action{Edit, "streamer"}},
	ErrorPaid:          {"{text}", "需要付费：{text}", Action{Login, "streamer"}},
	ErrorRegion:        {"{text}", "所在地区不可用：{text}", Action{Edit, "configuration"}},
	ErrorRateLimited:   {"{text}", "请求过于频繁：{text}", Action{Wait, ""}},
	ErrorChallenged:    {"{text}", "需要人工验证：{text}", Action{Login, "streamer"}},
	ErrorUnavailable:   {"{text}", "暂时不可用：{text}", Action{Wait, ""}},
	ErrorInvalidOption: {"{text}", "选项无效：{text}", Action{Edit, "configuration"}},
	ErrorUnsupported:   {"{text}", "不支持：{text}", Action{Edit, "plugins"}},
	ErrorCorrupt:       {"{text}", "数据已损坏：{text}", Action{Open, ""}},
	ErrorBug:           {"{text}", "意外的结果：{text}", Action{Open, ""}},
	ErrorOther:         {"{text}", "出错：{text}", Action{Open, ""}},
}
