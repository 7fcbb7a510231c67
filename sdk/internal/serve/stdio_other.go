//go:build !unix

package serve

import "os"

// redirectStdio does nothing: detached plugins need a Unix system.
func redirectStdio(*os.File) error { return nil }
