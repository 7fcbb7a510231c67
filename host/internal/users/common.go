// Package users is about the people who may use the API: which passwords they may have, and what commands on the machine do with
// them.
package users

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed common.txt
var commonList string

// ExamplePassword is the one in the description of the API, which people and scripts type word for word to try it. It is as
// common as any: see Common.
const ExamplePassword = "password123"

var common = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(commonList) {
		set[word] = true
	}
	return set
})

// Common tells a password that is among the first which anybody guesses: one of a list, the user's own name, or a single
// character or a short run of keys over and over. Upper and lower case are the same.
func Common(username, password string) bool {
	password, username = strings.ToLower(strings.TrimSpace(password)), strings.ToLower(username)
	return common()[password] || password == username || reversed(password) == username || repeats(password) || counts(password)
}

func reversed(text string) string {
	runes := []rune(text)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}

// repeats tells a text that is one piece of at most three characters over and over, the last one perhaps cut.
func repeats(text string) bool {
	runes := []rune(text)
	for period := 1; period <= 3 && len(runes) >= 2*period; period++ {
		same := true
		for i := period; i < len(runes) && same; i++ {
			same = runes[i] == runes[i-period]
		}
		if same {
			return true
		}
	}
	return false
}

// counts tells a text whose characters follow each other, up or down.
func counts(text string) bool {
	runes := []rune(text)
	if len(runes) < 2 {
		return false
	}
	step := runes[1] - runes[0]
	if step != 1 && step != -1 {
		return false
	}
	for i := 1; i < len(runes); i++ {
		if runes[i]-runes[i-1] != step {
			return false
		}
	}
	return true
}
