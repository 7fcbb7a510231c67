package plugins

import (
	"context"
	"log/slog"
	"os"
	"time"
)

// Options says where a Manager keeps its files and how patient it is.
type Options struct {
	// RunDir holds sockets and re-attach records. It is made with mode 0700 if it is missing. When its path is too long
	// for a Unix socket, the sockets go into a short private directory in the system's temporary one.
	RunDir string
	// LogDir holds the log files of detached plugins.
	LogDir string
	// Recordings is the folder that recorders write to. One that runs as a user of its own has to be able to.
	Recordings string
	// Logger gets the manager's and the plugins' lines; nil: slog.Default().
	Logger *slog.Logger
	// Level is what plugins are asked to log.
	Level slog.Level
	// Getenv supplies the few variables of the host that plugins inherit, and those that their options name; nil: os.Getenv.
	Getenv func(string) string
	// Env is added to every plugin's environment, as KEY=value.
	Env []string

	// Version of this lubod, which plugins are told.
	Version string

	// IdleStop is how long an extractor or line may be unused before it is stopped; 0: 10 minutes.
	IdleStop time.Duration
	// StartTimeout bounds the time from exec to the handshake; 0: 10 seconds.
	StartTimeout time.Duration
	// ExtractorDrain and LineDrain bound how long a replaced process may finish its calls; 0: 30 seconds and 10 minutes.
	ExtractorDrain time.Duration
	LineDrain      time.Duration
	// StopTimeout bounds the same when the host stops; 0: 2 seconds.
	StopTimeout time.Duration
	// OrphanTTL is how long a recorder goes on without a host; 0: the plugin's own default.
	OrphanTTL time.Duration

	// pingInterval is how often a process is asked whether it answers; 0: 10 seconds.
	pingInterval time.Duration
	// pingTimeout bounds one such question; 0: 5 seconds, because on a busy machine a living process can be slow.
	pingTimeout time.Duration
	// killGrace is what a process gets between being asked to end and being killed; 0: 3 seconds.
	killGrace time.Duration
	// reattachPause lies between two tries to reach a recorder that lives and does not answer; 0: half a second.
	reattachPause time.Duration
	// clock is what back-off, idle time and the breaker go by; nil: the real one.
	clock clock
	// jitter is the share by which the waits of back-offs are spread; 0: a fifth, below 0: not at all.
	jitter float64
}

const (
	// callTimeout bounds Describe and Configure, which need no network.
	callTimeout = 10 * time.Second
	// healthTimeout bounds Health, which may ask a platform whether a cookie is still good.
	healthTimeout = 15 * time.Second
	// drainCallTimeout bounds the Drain call itself, which flushes and does not wait for work.
	drainCallTimeout = 2 * time.Second
)

func (o *Options) setDefaults() {
	setDefault(&o.IdleStop, 10*time.Minute)
	setDefault(&o.StartTimeout, 10*time.Second)
	setDefault(&o.ExtractorDrain, 30*time.Second)
	setDefault(&o.LineDrain, 10*time.Minute)
	setDefault(&o.StopTimeout, 2*time.Second)
	setDefault(&o.pingInterval, 10*time.Second)
	setDefault(&o.pingTimeout, 5*time.Second)
	setDefault(&o.killGrace, 3*time.Second)
	setDefault(&o.reattachPause, 500*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.clock == nil {
		o.clock = realClock{}
	}
	if o.jitter == 0 {
		o.jitter = jitterShare
	}
	o.jitter = max(0, o.jitter)
}

func setDefault(value *time.Duration, byDefault time.Duration) {
	if *value == 0 {
		*value = byDefault
	}
}

// clock lets tests pass the minutes of a back-off without waiting for them.
type clock interface {
	Now() time.Time
	// Wait returns nil once d has passed, ctx's error if that ended first.
	Wait(ctx context.Context, d time.Duration) error
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
