package logs

import (
	"regexp"
	"strings"
)

const masked = "***"

// secretWords make an attribute secret when they are in its name.
var secretWords = []string{"token", "password", "passwd", "secret", "cookie", "authorization", "credential", "sessdata", "bili_jct", "csrf", "access_key", "api_key"}

func isSecretName(name string) bool {
	name = strings.ToLower(name)
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

var (
	// name=value, as in URLs, cookies and other programs' logs; name:value, as Go prints structures.
	secretPair = regexp.MustCompile(`(?i)([\w-]*(?:token|password|passwd|secret|sessdata|bili_jct|csrf|access_key|api_key|appkey|ckmd5|upsig|txsecret|wssecret|auth_key|x-upos-auth)[\w-]*[=:])("[^"]*"|[^\s"'&;,)}\]]+)`)
	// "name": "value", also when it is quoted once more.
	secretMember = regexp.MustCompile(`(?i)(\\?"[\w-]*(?:token|password|passwd|secret|sessdata|bili_jct|csrf|access_key|api_key|ckmd5|cookie|authorization)[\w-]*\\?"\s*:\s*\\?")((?:[^"\\]|\\[^"])*)`)
	// The headers of HTTP.
	secretHeader = regexp.MustCompile(`(?i)((?:set-cookie|cookie|authorization|x-upos-auth|x-setup-token):\s*)([^\r\n"]+)`)
	bearer       = regexp.MustCompile(`(?i)(\bbearer\s+)([\w.~+/=-]{6,})`)
	// user:password@host
	userInfo = regexp.MustCompile(`(://[^\s/:@]*:)([^\s/@]+)(@)`)
)

// Mask hides what looks like a secret in a text. What writes to the log should not give it any; this is for errors and
// programs of others.
func Mask(text string) string {
	if !strings.ContainsAny(text, "=:") && !strings.Contains(strings.ToLower(text), "bearer") {
		return text
	}
	text = secretMember.ReplaceAllString(text, "${1}"+masked)
	text = secretPair.ReplaceAllString(text, "${1}"+masked)
	text = secretHeader.ReplaceAllString(text, "${1}"+masked)
	text = bearer.ReplaceAllString(text, "${1}"+masked)
	return userInfo.ReplaceAllString(text, "${1}"+masked+"${3}")
}
