package upload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/logs"
	"github.com/lubod/lubod/host/internal/reason"
)

// File is a file that a person orders to publish, in the state in which it was ordered.
type File struct {
	Path       string // absolute
	SizeBytes  int64
	ModifiedAt time.Time
}

// Order is what a person wants published: one archive of these files in this order.
type Order struct {
	// Params say how.
	Params db.Template
	// Request is what the person sent beside the files, in a form that is the same for the same request.
	Request string
	Files   []File
}

// Order makes a recording of files that are there already, with the jobs that publish it: all or nothing. The same order
// again, while the first one is no archive yet, makes nothing new; what failed of the first one is tried again.
func (s *Service) Order(ctx context.Context, order Order) error {
	key := s.requestKey(order.Request, order.Files)
	var made int64
	var again db.Recording
	var retried Retried
	err := s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if err := q.LockRequest(ctx, key); err != nil {
			return fmt.Errorf("lock request: %w", err)
		}
		known, err := q.UnfinishedRequest(ctx, key)
		switch {
		case err == nil:
			again, err = s.Pipeline.Lock(ctx, tx, known)
			if err == nil {
				retried, err = s.retryRecording(ctx, tx, known)
			}
			return err
		case !errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("look for the same request: %w", err)
		}
		made, err = s.insertOrder(ctx, tx, order, key)
		return err
	})
	switch {
	case err != nil:
		return err
	case made != 0:
		logs.By(ctx, s.about(made, nil)).Info("manual upload ordered", "files", len(order.Files))
	default:
		s.tellRetried(ctx, again, retried)
	}
	return nil
}

// insertOrder makes the rows of an order with their jobs, and returns the number of its recording.
func (s *Service) insertOrder(ctx context.Context, tx pgx.Tx, order Order, key string) (int64, error) {
	q := s.DB.WithTx(tx)
	recorded, err := recordedFiles(ctx, q, order.Files)
	if err != nil {
		return 0, err
	}
	recording, err := s.manualRecording(order, recorded)
	if err != nil {
		return 0, err
	}
	recording.RequestKey = &key
	id, err := q.InsertManualRecording(ctx, recording)
	if err != nil {
		return 0, fmt.Errorf("insert manual recording: %w", err)
	}
	for i, file := range order.Files {
		segment := db.InsertManualSegmentParams{
			RecordingID: id, Index: int32(i + 1), Path: file.Path, SizeBytes: file.SizeBytes,
			StartedAt: file.ModifiedAt, EndedAt: file.ModifiedAt, ModifiedAt: file.ModifiedAt,
		}
		if known, ok := recorded[file.Path]; ok {
			segment.StartedAt, segment.EndedAt, segment.DurationMs = known.Segment.StartedAt, known.Segment.EndedAt, known.Segment.DurationMs
		}
		if _, err := q.InsertManualSegment(ctx, segment); err != nil {
			return 0, fmt.Errorf("insert manual segment: %w", err)
		}
	}
	return id, s.Pipeline.RecordingEnded(ctx, tx, id)
}

// manualRecording says what a title can tell of the files: what is known of the first one.
func (s *Service) manualRecording(order Order, recorded map[string]db.RecordedFilesRow) (db.InsertManualRecordingParams, error) {
	host, err := uuid.Parse(s.HostID)
	if err != nil {
		return db.InsertManualRecordingParams{}, fmt.Errorf("host id: %w", err)
	}
	params, err := db.EncodeParams(order.Params)
	if err != nil {
		return db.InsertManualRecordingParams{}, err
	}
	first := order.Files[0]
	row := db.InsertManualRecordingParams{
		HostID: host, Params: params, Title: stem(first.Path), StreamerName: stem(first.Path), StartedAt: first.ModifiedAt,
	}
	if name := order.Params.TemplateName; name != "" {
		row.TemplateName = &name
	}
	if known, ok := recorded[first.Path]; ok {
		of := known.Recording
		row.URL, row.Remark, row.Title, row.StreamerName, row.StartedAt = of.URL, of.Remark, of.Title, of.StreamerName, known.Segment.StartedAt
	}
	return row, nil
}

func recordedFiles(ctx context.Context, q *db.Queries, files []File) (map[string]db.RecordedFilesRow, error) {
	paths := make([]string, 0, len(files))
	for _, file := range files {
		paths = append(paths, file.Path)
	}
	rows, err := q.RecordedFiles(ctx, paths)
	if err != nil {
		return nil, fmt.Errorf("look for recorded files: %w", err)
	}
	recorded := make(map[string]db.RecordedFilesRow, len(rows))
	for _, row := range rows {
		recorded[row.Segment.Path] = row
	}
	return recorded, nil
}

func stem(path string) string {
	return db.Text(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
}

// requestKey is the same for the same request about the same files in the same state. Its halves are what was sent, and
// the files, whose state may be taken anew.
func (s *Service) requestKey(request string, files []File) string {
	return hash(request) + s.filesKey(files)
}

// filesKey is the same when the data directory was moved.
func (s *Service) filesKey(files []File) string {
	var text strings.Builder
	for _, file := range files {
		// The database keeps microseconds.
		fmt.Fprintf(&text, "%q %d %d\n", strings.TrimPrefix(file.Path, s.DataDir+"/"), file.SizeBytes, file.ModifiedAt.UnixMicro())
	}
	return hash(text.String())
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// checkFile makes sure that a file which a person ordered is what it was then. Nothing but the recorder writes to files
// that were recorded here, so those are as they are.
func checkFile(segment db.Segment) error {
	if segment.ModifiedAt == nil {
		return nil
	}
	found, err := statFile(segment.Path)
	if err != nil {
		return err
	}
	number := strconv.FormatInt(segment.ID, 10)
	if found == nil {
		return unfit(reason.New(reason.UploadFileGone, "path", segment.Path, "segment", number))
	}
	if !sameState(segment, *found) {
		return unfit(reason.New(reason.UploadFileChanged, "segment", number,
			"then", fileState(segment.SizeBytes, *segment.ModifiedAt), "now", fileState(found.SizeBytes, found.ModifiedAt)))
	}
	return nil
}

func fileState(size int64, modified time.Time) string {
	return fmt.Sprintf("%d bytes of %s", size, modified.UTC().Format(time.RFC3339))
}

func sameState(segment db.Segment, file File) bool {
	return segment.SizeBytes == file.SizeBytes && segment.ModifiedAt.UnixMicro() == file.ModifiedAt.UnixMicro()
}

// statFile answers nil when there is no such file, or something else in its place.
func statFile(path string) (*File, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, missing(withCause(reason.New(reason.UploadFileUnread, "path", path), folders.Explain(err)))
	case !info.Mode().IsRegular():
		return nil, nil
	}
	return &File{Path: path, SizeBytes: info.Size(), ModifiedAt: info.ModTime()}, nil
}
