package line

import (
	"math"

	"github.com/lubod/lubod/sdk/internal/convert"
	linev1 "github.com/lubod/lubod/sdk/internal/gen/lubod/line/v1"
)

func toRequest(f File) *linev1.UploadRequest {
	return &linev1.UploadRequest{
		Line:        convert.Text(f.Line),
		Path:        f.Path,
		Name:        convert.Text(f.Name),
		Credentials: &linev1.Credentials{Cookies: convert.TextMap(f.Cookies)},
		Threads:     int32(min(max(f.Threads, 1), math.MaxInt32)),
		Checkpoint:  f.Checkpoint,
	}
}

func fromRequest(in *linev1.UploadRequest) File {
	f := File{
		Line:    in.GetLine(),
		Path:    in.GetPath(),
		Name:    in.GetName(),
		Cookies: in.GetCredentials().GetCookies(),
		Threads: int(in.GetThreads()),
	}
	if len(in.GetCheckpoint()) > 0 {
		f.Checkpoint = in.GetCheckpoint()
	}
	return f
}

func toProgress(p Progress) *linev1.UploadResponse {
	return &linev1.UploadResponse{Kind: &linev1.UploadResponse_Progress{Progress: &linev1.UploadProgress{
		AcknowledgedBytes: p.AcknowledgedBytes,
		Checkpoint:        p.Checkpoint,
		Chunks:            toChunks(p.Chunks),
	}}}
}

func fromProgress(in *linev1.UploadProgress) Progress {
	return Progress{AcknowledgedBytes: in.GetAcknowledgedBytes(), Checkpoint: in.GetCheckpoint(), Chunks: fromChunks(in.GetChunks())}
}

func toChunks(c *Chunks) *linev1.Chunks {
	if c == nil {
		return nil
	}
	return &linev1.Chunks{SizeBytes: c.SizeBytes, Count: int32(min(max(c.Count, 0), maxChunks)), Done: c.Done}
}

// fromChunks drops what cannot be a picture of a file: it is shown, and nothing else depends on it.
func fromChunks(in *linev1.Chunks) *Chunks {
	count := int(in.GetCount())
	if in.GetSizeBytes() <= 0 || count <= 0 || count > maxChunks || len(in.GetDone()) > (count+7)/8 {
		return nil
	}
	return &Chunks{SizeBytes: in.GetSizeBytes(), Count: count, Done: in.GetDone()}
}

func toResult(r Result) *linev1.UploadResponse {
	return &linev1.UploadResponse{Kind: &linev1.UploadResponse_Result{Result: &linev1.UploadResult{
		RemoteName: convert.Text(r.RemoteName),
		RemoteId:   r.RemoteID,
	}}}
}

func fromResult(in *linev1.UploadResult) Result {
	return Result{RemoteName: in.GetRemoteName(), RemoteID: in.GetRemoteId()}
}

func toProbeResult(r ProbeResult) *linev1.ProbeResult {
	return &linev1.ProbeResult{Line: convert.Text(r.Line), LatencyMs: r.LatencyMS, BytesPerSecond: r.BytesPerSecond}
}

func fromProbeResult(in *linev1.ProbeResult) ProbeResult {
	return ProbeResult{Line: in.GetLine(), LatencyMS: in.GetLatencyMs(), BytesPerSecond: in.GetBytesPerSecond()}
}
