package pages

import (
	"strconv"
	"strings"
)

// Language is one that the pages exist in.
type Language string

// The languages of the pages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Preferred picks the language that a browser's Accept-Language asks for first; English when it asks for neither.
func Preferred(acceptLanguage string) Language {
	best, quality := English, 0.0
	for entry := range strings.SplitSeq(acceptLanguage, ",") {
		tag, parameters, _ := strings.Cut(strings.TrimSpace(entry), ";")
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if primary != string(English) && primary != string(Chinese) {
			continue
		}
		q := 1.0
		if text, given := strings.CutPrefix(strings.TrimSpace(parameters), "q="); given {
			var err error
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		if q > quality {
			best, quality = Language(primary), q
		}
	}
	return best
}

// words are the texts of all pages in one language.
type words struct {
	Lang                                                                      string
	LogIn, Username, Password, Send, NeedsScript                              string
	FirstTitle, FirstLocal, FirstRemote, SetupToken, Create, OrCurl           string
	Wrong, TooMany, TokenWrong, Unreachable                                   string
	Welcome, Docs, Contract, Streamers, Status, Recordings, LogOut, IndexText string
	Public, NeedsLogin, NeedsSession, Parameters, Body, Answers               string
	Required, DocsTitle                                                       string
}

func wordsOf(language Language) words {
	if language == Chinese {
		return words{
			Lang:  "zh",
			LogIn: "登录", Username: "用户名", Password: "密码", Send: "登录",
			NeedsScript: "此页面需要 JavaScript。也可以用 curl 登录，见接口文档。",
			FirstTitle:  "创建首个用户", FirstLocal: "还没有用户。在这里创建首个用户（密码至少 8 个字符），之后注册即关闭。",
			FirstRemote: "还没有用户。请填写服务器启动日志中显示的设置令牌（setup_token），或在服务器本机打开此页面。",
			SetupToken:  "设置令牌", Create: "创建并登录", OrCurl: "或者使用 curl：",
			Wrong: "用户名或密码错误。", TooMany: "错误次数过多，请稍后再试。", TokenWrong: "设置令牌不正确，请查看服务器启动日志。", Unreachable: "服务器没有应答。",
			Welcome: "已登录：", Docs: "接口文档", Contract: "OpenAPI 契约", Streamers: "录制任务", Status: "系统状态", Recordings: "录制信息", LogOut: "退出登录",
			IndexText: "lubod 通过 HTTP 接口使用。从接口文档开始：",
			Public:    "无需登录", NeedsLogin: "需要登录或 API 令牌", NeedsSession: "需要登录（不能用 API 令牌）",
			Parameters: "参数", Body: "请求体", Answers: "应答", Required: "必需", DocsTitle: "lubod 接口文档",
		}
	}
	return words{
		Lang:  "en",
		LogIn: "Log in", Username: "User name", Password: "Password", Send: "Log in",
		NeedsScript: "This page needs JavaScript. The documentation of the API says how to log in with curl.",
		FirstTitle:  "Create the first user", FirstLocal: "There is no user yet. Create the first one here, with a password of at least 8 characters; after that, registration is closed.",
		FirstRemote: "There is no user yet. Enter the set-up token (setup_token) that the server's log shows at start, or open this page on the server itself.",
		SetupToken:  "Set-up token", Create: "Create and log in", OrCurl: "Or with curl:",
		Wrong: "User name or password is wrong.", TooMany: "Too many wrong attempts. Try again in a while.", TokenWrong: "The set-up token is wrong. The server's log shows it at start.", Unreachable: "The server does not answer.",
		Welcome: "Logged in as", Docs: "Documentation of the API", Contract: "OpenAPI contract", Streamers: "Streamers", Status: "Status", Recordings: "Recordings", LogOut: "Log out",
		IndexText: "lubod is used through its HTTP API. Begin with the documentation:",
		Public:    "open to everybody", NeedsLogin: "needs a login or an API token", NeedsSession: "needs a login, not an API token",
		Parameters: "Parameters", Body: "Body", Answers: "Answers", Required: "required", DocsTitle: "lubod API",
	}
}
