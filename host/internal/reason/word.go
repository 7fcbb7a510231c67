package reason

import "strings"

// The words that arguments may be: they are told in the language of the text that holds them.
const (
	WordInteger = "word.integer"
	WordNumber  = "word.number"
	WordText    = "word.text"
	WordBoolean = "word.boolean"
	WordList    = "word.list"
	WordObject  = "word.object"
	WordNull    = "word.null"

	WordFileElsewhere = "word.file_elsewhere"
	WordFileIrregular = "word.file_irregular"
	WordFileSize      = "word.file_size"

	// WordRestriction and the name of a restriction make the word for it.
	WordRestriction = "word.restriction_"
)

var words = map[string]struct{ en, zh string }{
	WordInteger: {"a whole number", "整数"},
	WordNumber:  {"a number", "数字"},
	WordText:    {"a text", "文字"},
	WordBoolean: {"true or false", "true 或 false"},
	WordList:    {"a list", "列表"},
	WordObject:  {"a JSON object", "JSON 对象"},
	WordNull:    {"null", "null"},

	WordFileElsewhere: {"it is no file of this session", "它不是该会话的文件"},
	WordFileIrregular: {"it is no regular file", "它不是普通文件"},
	WordFileSize:      {"it is not of the size that was told", "其大小与报告的不一致"},

	WordRestriction + "password": {"it needs a password", "需要密码"},
	WordRestriction + "paid":     {"it is for viewers who paid", "仅限付费观众"},
	WordRestriction + "drm":      {"its media is encrypted", "媒体内容已加密"},
	WordRestriction + "members":  {"it is for members of the channel", "仅限频道会员"},
	WordRestriction + "region":   {"it is not shown in this region", "所在地区无法观看"},
	WordRestriction + "login":    {"it needs a login", "需要登录"},
	WordRestriction + "age":      {"it needs a confirmed age", "需要确认年龄"},
	WordRestriction + "other":    {"the platform does not say why", "平台未说明原因"},
}

// inWords is an argument as a text of one language has it.
func inWords(argument string, language Language) string {
	if !strings.HasPrefix(argument, "word.") {
		return argument
	}
	word, known := words[argument]
	switch {
	case !known:
		return argument
	case language == Chinese:
		return word.zh
	}
	return word.en
}
