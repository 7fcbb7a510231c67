package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	listen     string
	lineHosts  bool
	buckets    []string
	lenient    bool
	chunkSize  int64
	discard    bool
	limits     bool
	autoQR     bool
	review     time.Duration
	listLag    time.Duration
	speed      float64
	maxParts   int
	cookieFile string

	liveListen string
	flv        string
	liveSpeed  float64
	liveLoop   bool
}

func newServeCommand() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve until SIGTERM or Ctrl-C / 运行直到收到 SIGTERM 或 Ctrl-C",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return serve(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:19160", "address of the simulated Bilibili / 模拟 Bilibili 的监听地址")
	f.StringSliceVar(&o.buckets, "buckets", nil,
		"buckets of Qiniu that the kodo line may use; none: the line is refused / kodo 线路可用的七牛存储空间；留空则拒绝该线路")
	f.BoolVar(&o.lineHosts, "line-hosts", false, "give every upload line a port of its own / 每条上传线路使用独立端口")
	f.BoolVar(&o.lenient, "lenient", false, "forgive what the real service forgives / 宽松模式：容忍真实服务所容忍的偏差")
	f.Int64Var(&o.chunkSize, "chunk-size", 10485760, "bytes per chunk / 分块字节数")
	f.BoolVar(&o.discard, "discard-bytes", false, "forget the bytes of completed files, keep their hashes / 上传完成后丢弃内容，只保留哈希")
	f.BoolVar(&o.limits, "submit-limits", false, "limit submissions like the real service / 按真实服务的频率限制投稿")
	f.BoolVar(&o.autoQR, "qr-auto-confirm", true, "confirm every QR login at its third poll / 扫码登录在第三次轮询时自动确认")
	f.DurationVar(&o.review, "review", time.Minute, "how long an archive is in review / 稿件审核时长")
	f.DurationVar(&o.listLag, "list-lag", 0, "how much later archives appear in lists / 稿件延迟多久出现在列表中")
	f.Float64Var(&o.speed, "archive-speed", 1, "speed of the clock of archives and lists / 稿件与列表时钟的倍速")
	f.IntVar(&o.maxParts, "max-archive-parts", 500, "most parts of an archive / 单个稿件的分P上限")
	f.StringVar(&o.cookieFile, "cookie-file", "",
		"keep the account's login here; an existing file is taken over / 账号登录文件；已有文件会被沿用")
	f.StringVar(&o.liveListen, "live-listen", "127.0.0.1:19161", "address of the live stream / 直播流的监听地址")
	f.StringVar(&o.flv, "flv", "", "FLV file that feeds the live stream; none: no live stream / 作为直播源的 FLV 文件；留空则不提供直播")
	f.Float64Var(&o.liveSpeed, "live-speed", 1, "speed of the live stream; 1: real time, 0: as fast as viewers read / 直播速度；1 为实时，0 为不限速")
	f.BoolVar(&o.liveLoop, "live-loop", true, "begin the file again at its end; else the stream is over there / 播放到文件末尾后从头循环；否则直播结束")
	return c
}

// serve runs until ctx ends, then closes what it opened, last first.
func serve(ctx context.Context, o serveOptions, out, log io.Writer) (err error) {
	sim, err := bilibili.Start(o.simulator(log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.Close()) }()
	account, err := login(sim, o.cookieFile)
	if err != nil {
		return err
	}
	live, err := startLive(o, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.Close()) }()

	fmt.Fprintf(out, "bilibili   %s (member, api and passport)\n", sim.URL())
	fmt.Fprintf(out, "inspect    %s/_sim/\n", sim.URL())
	fmt.Fprintf(out, "account    %d %s\n", account.MID, account.Name)
	if o.cookieFile != "" {
		fmt.Fprintf(out, "cookies    %s\n", o.cookieFile)
	}
	if url := live.URL(); url != "" {
		fmt.Fprintf(out, "live       %s\n", url)
	}
	fmt.Fprintln(out, "ready")
	<-ctx.Done()
	fmt.Fprintln(out, "stopping")
	return nil
}

func (o serveOptions) simulator(log io.Writer) bilibili.Options {
	options := bilibili.Options{
		Listen: o.listen, LineHosts: o.lineHosts, Buckets: o.buckets, ChunkSize: o.chunkSize, DiscardBytes: o.discard, SubmitLimits: o.limits,
		Review: o.review, ListLag: o.listLag, ArchiveSpeed: o.speed, MaxArchiveParts: o.maxParts, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	if o.review == 0 {
		options.Review = -1
	}
	if o.lenient {
		options.Mode = bilibili.Lenient
	}
	if o.autoQR {
		options.QRScript = []bilibili.QRState{bilibili.QRPending, bilibili.QRScanned, bilibili.QRConfirmed}
	}
	return options
}

// login makes the first account. A cookie file of an earlier run stays good, as a client may have its own copy of it.
func login(sim *bilibili.Server, path string) (bilibili.Account, error) {
	if path == "" {
		return sim.AddAccount(bilibili.AccountOptions{}), nil
	}
	body, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		account := sim.AddAccount(bilibili.AccountOptions{})
		return account, account.CookieFile().WriteFile(path)
	case err != nil:
		return bilibili.Account{}, fmt.Errorf("read cookie file: %w", err)
	}
	var file bilibili.CookieFile
	if err := json.Unmarshal(body, &file); err != nil {
		return bilibili.Account{}, fmt.Errorf("read cookie file %s: %w (remove it to get a new one)", path, err)
	}
	account, err := sim.RestoreAccount(file)
	if err != nil {
		return account, fmt.Errorf("take over cookie file %s: %w (remove it to get a new one)", path, err)
	}
	return account, nil
}
