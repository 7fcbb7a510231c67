package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	seconds int
	keep    bool
	lubod   string
}

func newDemoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Let lubod record a live stream and publish it here, step by step / 演示：录制一场直播并在模拟环境中投稿",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.seconds < 6 || o.seconds > 3600 {
				return fmt.Errorf("--seconds %d: must be from 6 to 3600", o.seconds)
			}
			return runDemo(c.Context(), o, c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.IntVar(&o.seconds, "seconds", 20, "length of the live stream / 直播时长（秒）")
	f.BoolVar(&o.keep, "keep", false, "leave recordings and logs for a look / 保留录像与日志")
	f.StringVar(&o.lubod, "lubod", "", "the daemon's program; default: lubod beside this one, with plugins/ / lubod 程序的路径")
	return c
}

// demo is one run: what all its steps share.
type demo struct {
	demoOptions
	out   io.Writer
	began time.Time
	dir   string
}

// runDemo plays everything from a live stream to an archive, and leaves nothing running, however it ends.
func runDemo(ctx context.Context, o demoOptions, out io.Writer) (err error) {
	d := &demo{demoOptions: o, out: out, began: time.Now()}
	if d.lubod, err = findLubod(o.lubod); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "lubod-demo-"); err != nil {
		return fmt.Errorf("make a directory for the demonstration: %w", err)
	}
	defer func() {
		err = errors.Join(err, d.cleanUp(err))
		if ctx.Err() != nil {
			err = errors.New("interrupted; everything was stopped and removed / 已中断，并已全部停止和清理")
		}
	}()

	d.step("ffmpeg encodes %d s of video", "ffmpeg 编码 %d 秒视频", o.seconds)
	clip := filepath.Join(d.dir, "clip.flv")
	if err := encodeClip(ctx, clip, o.seconds); err != nil {
		return err
	}

	sim, err := bilibili.Start(bilibili.Options{LineHosts: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.Close()) }()
	d.step("a simulated Bilibili listens on %s", "模拟的 B 站运行在 %s", sim.URL())

	daemon, err := d.startDaemon(ctx, sim)
	if err != nil {
		return err
	}
	defer func() {
		d.step("lubod is stopped", "停止 lubod")
		err = errors.Join(err, daemon.stop())
	}()
	d.step("lubod is up on %s, with its own PostgreSQL", "lubod 已启动：%s，使用内置 PostgreSQL", daemon.address)

	live, err := startFFmpegLive(clip)
	if err != nil {
		return err
	}
	defer live.stop()
	d.step("ffmpeg is live on %s", "ffmpeg 开播：%s", live.url)

	if err := d.publish(ctx, daemon, live.url); err != nil {
		return daemon.explain(err)
	}
	return d.report(ctx, sim, daemon, clip)
}

// step says what happens now, in English and in Chinese.
func (d *demo) step(english, chinese string, values ...any) {
	fmt.Fprintf(d.out, "[%5.1f s] %s / %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(english, values...), fmt.Sprintf(chinese, values...))
}

func (d *demo) cleanUp(failure error) error {
	if d.keep || (failure != nil && !errors.Is(failure, context.Canceled)) {
		d.step("recordings and logs are left in %s", "录像与日志保留在 %s", d.dir)
		return nil
	}
	return os.RemoveAll(d.dir)
}

// publish sets lubod up over its API as a user would, and returns when the archive is accepted.
func (d *demo) publish(ctx context.Context, daemon *daemon, liveURL string) error {
	client, err := newAPIClient(daemon.address)
	if err != nil {
		return err
	}
	d.step("register, log in, add an account, a template and the streamer", "注册、登录，添加账号、模板和主播")
	if err := setUp(ctx, client, liveURL, segmentSeconds(d.seconds)); err != nil {
		return err
	}
	err = d.watch(ctx, client, daemon)
	if err != nil {
		// The recorder outlives its host by design; without this it would record on.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = client.call(ending, "DELETE", "/streamers/1", nil, nil)
	}
	return err
}

// segmentSeconds makes about three segments of the stream, however long it is.
func segmentSeconds(total int) int { return max(total/3+1, 2) }

func setUp(ctx context.Context, client *apiClient, liveURL string, splitSeconds int) error {
	login := map[string]any{"username": "demo", "password": "correct horse"}
	for _, request := range []struct {
		method, path string
		body         map[string]any
	}{
		{"POST", "/users/register", login},
		{"POST", "/users/login", login},
		// A short demonstration wants short waits, and publishes small files too.
		{"PUT", "/configuration", map[string]any{"lines": "bda2", "delay": 3, "event_loop_interval": 1, "filtering_threshold": 0}},
		{"POST", "/users", map[string]any{"key": "bilibili-cookies", "value": cookieFile}},
		{"POST", "/upload_streamers", map[string]any{
			"template_name": "demo", "title": "{{streamer}} %Y-%m-%d", "tid": 171, "tag": "lubod,demo",
			"desc": "recorded from {{url}}", "user_cookie": cookieFile,
		}},
		{"POST", "/streamers", map[string]any{
			"url": liveURL, "template_name": "demo", "remark": "demo", "split_time": splitSeconds,
		}},
	} {
		if err := client.call(ctx, request.method, request.path, request.body, nil); err != nil {
			return err
		}
	}
	return nil
}
