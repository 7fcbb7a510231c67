package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const guardName = "server.lock"

// guard returns a locked file for a new server to inherit. As long as any process of a server lives, the lock is held:
// also by one that this process cannot see, because it belongs to another container with the same volume. PostgreSQL's
// own checks stop at that border, and two servers on one cluster destroy it.
func (c *cluster) guard(ctx context.Context) (*os.File, error) {
	path := filepath.Join(c.dir, guardName)
	file, err := openLock(path)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	for {
		err := tryLock(file)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		if time.Since(started) > orphanPatience {
			err := fmt.Errorf("a PostgreSQL that this process cannot see still uses %s, perhaps in another container: stop it", c.data())
			return nil, errors.Join(err, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-time.After(askEvery):
		}
	}
}
