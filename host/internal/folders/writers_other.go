//go:build !linux

package folders

// WritersOf is not known here.
func WritersOf(string) Writers { return WritersUnknown }
