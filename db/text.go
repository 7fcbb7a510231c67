package db

import "strings"

// Text makes a string fit for a text or jsonb column: PostgreSQL refuses a whole statement for one byte that is not
// UTF-8 or one NUL. Platforms do send such titles, and other systems such error messages.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
