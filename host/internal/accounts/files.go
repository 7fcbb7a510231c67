package accounts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lubod/lubod/host/internal/bilibili"
)

// lockPoll is how often a lock that another process holds is tried again.
const lockPoll = 50 * time.Millisecond

// Files writes cookie files of one data directory. Whoever changes a file holds its lock from reading it to replacing
// it: a refreshed login makes the one before worthless, so two refreshes at once would lose the login.
type Files struct {
	dataDir string
	mu      sync.Mutex
	locks   map[string]*fileLock
	// sync puts a file, or the names of a folder, on the disk.
	sync func(*os.File) error
}

type fileLock struct {
	held chan struct{}
	// users counts holders and waiters; the last one removes the lock.
	users int
}

// NewFiles is for a data directory. Other processes may write accounts into it, when they take the same locks.
func NewFiles(dataDir string) *Files {
	return &Files{dataDir: dataDir, locks: make(map[string]*fileLock), sync: (*os.File).Sync}
}

// Lock waits for the lock of a cookie file, named as LocalName returns it, against this process and others. The returned
// function unlocks. The lock of the operating system is on a file beside the cookie file, which stays: the cookie file
// itself is replaced by each change, and its lock would go with it.
func (f *Files) Lock(ctx context.Context, file string) (unlock func(), err error) {
	leave, err := f.lockHere(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("wait for cookie file %s: %w", file, err)
	}
	release, err := f.lockEverywhere(ctx, file)
	if err != nil {
		leave()
		return nil, fmt.Errorf("lock cookie file %s: %w", file, err)
	}
	return func() { release(); leave() }, nil
}

func (f *Files) lockHere(ctx context.Context, file string) (unlock func(), err error) {
	f.mu.Lock()
	lock := f.locks[file]
	if lock == nil {
		lock = &fileLock{held: make(chan struct{}, 1)}
		f.locks[file] = lock
	}
	lock.users++
	f.mu.Unlock()
	leave := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if lock.users--; lock.users == 0 {
			delete(f.locks, file)
		}
	}
	select {
	case lock.held <- struct{}{}:
		return func() { <-lock.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

func (f *Files) lockEverywhere(ctx context.Context, file string) (unlock func(), err error) {
	root, err := os.OpenRoot(f.dataDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	lock, err := root.OpenFile(beside(file, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = lock.Close() }, nil // closing unlocks
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, lock.Close())
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), lock.Close())
		}
	}
}

// beside is a hidden file next to a cookie file.
func beside(file, suffix string) string {
	return path.Join(path.Dir(file), "."+path.Base(file)+suffix)
}

// Save writes a new login to <mid>.json and returns that name. What was there is replaced when it is a login of the same
// account, and keeps its fields that a login does not have. Any other login of that name stays, and another name is used.
func (f *Files) Save(ctx context.Context, login *bilibili.Login) (string, error) {
	const names = 10
	for n := range names {
		file := strconv.FormatInt(login.Mid, 10) + ".json"
		if n > 0 {
			file = fmt.Sprintf("%d-%d.json", login.Mid, n+1)
		}
		saved, err := f.saveAs(ctx, file, login)
		if err != nil || saved {
			return file, err
		}
	}
	return "", fmt.Errorf("the files %d.json and so on of the data directory hold logins of other accounts; remove one of them", login.Mid)
}

func (f *Files) saveAs(ctx context.Context, file string, login *bilibili.Login) (saved bool, err error) {
	unlock, err := f.Lock(ctx, file)
	if err != nil {
		return false, err
	}
	defer unlock()
	before, err := f.read(file)
	if err != nil && !errors.Is(err, bilibili.ErrNoAccount) {
		return false, err
	}
	if account, err := parseAccount(file, before); err != nil {
		before = nil // what is no login has nothing to keep
	} else if account.Mid != login.Mid {
		return false, nil
	}
	return true, f.replace(file, before, login)
}

// read returns what a cookie file holds. The caller holds its lock.
func (f *Files) read(file string) ([]byte, error) {
	root, err := os.OpenRoot(f.dataDir)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	defer func() { _ = root.Close() }()
	if err := f.finish(root, file); err != nil {
		return nil, err
	}
	return readFile(root, file)
}

// replace writes a login over what a cookie file held before. The caller holds the lock.
func (f *Files) replace(file string, before []byte, login *bilibili.Login) error {
	content, err := fileOf(login, before)
	if err != nil {
		return err
	}
	draft, err := f.draft(file)
	if err != nil {
		return err
	}
	defer draft.discard()
	return draft.commit(content)
}

// draft is a cookie file that is about to be written. What can go wrong with the disk goes wrong before it is needed.
type draft struct {
	sync       func(*os.File) error
	root       *os.Root
	file       *os.File
	name, into string
}

// reserved is the room on the disk that a draft takes: more than a login needs.
const reserved = 64 << 10

// draft makes a draft of a cookie file. The caller holds the file's lock, and discards the draft in the end.
func (f *Files) draft(into string) (*draft, error) {
	root, err := os.OpenRoot(f.dataDir)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	d := &draft{sync: f.sync, root: root, name: beside(into, freshSuffix), into: into}
	if err = removeIfThere(root, d.name); err == nil {
		d.file, err = root.OpenFile(d.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err == nil {
		_, err = d.file.Write(bytes.Repeat([]byte{' '}, reserved))
	}
	if err != nil {
		d.discard()
		return nil, fmt.Errorf("write cookie file %s: %w", into, err)
	}
	return d, nil
}

// commit puts content in place. A reader sees the whole old file or the whole new one, nobody but the owner of the process
// can read it, and it is on the disk when commit returns.
func (d *draft) commit(content []byte) error {
	_, err := d.file.WriteAt(content, 0)
	if err == nil {
		err = d.file.Truncate(int64(len(content)))
	}
	if err == nil {
		err = d.sync(d.file)
	}
	if err != nil {
		return fmt.Errorf("write cookie file %s: %w", d.into, err)
	}
	if err := d.root.Rename(d.name, d.into); err != nil {
		d.name = "" // it is whole: finish tries again
		return fmt.Errorf("put cookie file %s in place: %w", d.into, err)
	}
	d.name = ""
	return syncDir(d.root, path.Dir(d.into), d.sync)
}

// discard ends the draft; what was committed stays.
func (d *draft) discard() {
	if d.file != nil {
		_ = d.file.Close()
	}
	if d.name != "" {
		_ = removeIfThere(d.root, d.name)
	}
	_ = d.root.Close()
}

// freshSuffix is of files that are written and then renamed to a cookie file.
const freshSuffix = ".new"

// finish puts a login in place that a process wrote and did not get to put in place: the one before may be void already.
// It gives way to a file that somebody put there since, and is dropped when it was not written to its end.
func (f *Files) finish(root *os.Root, file string) error {
	fresh := beside(file, freshSuffix)
	written, err := root.Lstat(fresh)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an unfinished cookie file: %w", err)
	}
	raw, err := readFile(root, fresh)
	if err == nil {
		_, err = parseAccount(fresh, raw) // a file that was cut is no JSON
	}
	if err != nil {
		return removeIfThere(root, fresh)
	}
	if current, err := root.Lstat(file); err == nil && current.ModTime().After(written.ModTime()) {
		return removeIfThere(root, fresh)
	}
	if err := root.Rename(fresh, file); err != nil {
		return fmt.Errorf("put cookie file %s in place: %w", file, err)
	}
	return syncDir(root, path.Dir(file), f.sync)
}

// unfinished tells whether finish has something to do.
func (f *Files) unfinished(file string) bool {
	root, err := os.OpenRoot(f.dataDir)
	if err != nil {
		return false
	}
	defer func() { _ = root.Close() }()
	_, err = root.Lstat(beside(file, freshSuffix))
	return err == nil
}

// real follows links inside the data directory, so that a file has one name: a change replaces the file and not a link to it.
func (f *Files) real(file string) string {
	root, err := os.OpenRoot(f.dataDir)
	if err != nil {
		return file
	}
	defer func() { _ = root.Close() }()
	const links = 8
	for range links {
		target, err := root.Readlink(file)
		if err != nil {
			return file // no link
		}
		next := path.Join(path.Dir(file), target)
		if path.IsAbs(target) || !filepath.IsLocal(next) {
			return file // what leads out cannot be read under any name
		}
		file = next
	}
	return file
}

func removeIfThere(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(root *os.Root, name string, sync func(*os.File) error) error {
	dir, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("open directory of cookie file: %w", err)
	}
	err = sync(dir)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // the file system knows no such thing
	}
	return errors.Join(err, dir.Close())
}
