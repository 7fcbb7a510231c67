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
)

var words = map[string]struct{ en, zh string }{
	WordInteger: {"a whole number", "整数"},
	WordNumber:  {"a number", "数字"},
	WordText:    {"a text", "文字"},
	WordBoolean: {"true or false", "true 或 false"},
	WordList:    {"a list", "列表"},
	WordObject:  {"a JSON object", "JSON 对象"},
	WordNull:    {"null", "null"},
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
