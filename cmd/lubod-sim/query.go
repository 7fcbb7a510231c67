package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// query asks a running simulator.
type query struct {
	url     string
	json    bool
	wait    int
	timeout time.Duration
}

func (q *query) flags(c *cobra.Command, waits bool) {
	f := c.Flags()
	f.StringVar(&q.url, "url", "http://127.0.0.1:19160", "base URL of the simulated Bilibili / 模拟 Bilibili 的地址")
	f.BoolVar(&q.json, "json", false, "print JSON as it is answered / 原样输出 JSON")
	q.timeout = 30 * time.Second
	if waits {
		f.IntVar(&q.wait, "wait", 0, "wait until there are so many / 等待达到该数量")
		f.DurationVar(&q.timeout, "timeout", q.timeout, "give up waiting after this time / 等待超时")
	}
}

// get decodes an answer, or copies it to out and leaves the value alone when JSON was asked for.
func (q *query) get(ctx context.Context, out io.Writer, path string, into any) error {
	if q.wait > 0 {
		path += fmt.Sprintf("?wait=%d&timeout=%s", q.wait, q.timeout)
	}
	body, err := q.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if q.json {
		if _, err := out.Write(body); err != nil {
			return err
		}
	}
	return json.Unmarshal(body, into)
}

func (q *query) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout+10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(q.url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Close = true // one question per process
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the simulator (is lubod-sim serve running there?): %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the simulator: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var problem struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(answer, &problem) != nil || problem.Error == "" {
			problem.Error = strings.TrimSpace(string(answer))
		}
		return nil, fmt.Errorf("the simulator answered HTTP %d: %s", response.StatusCode, problem.Error)
	}
	return answer, nil
}

// table prints rows under a heading, unless JSON was printed already.
func (q *query) table(out io.Writer, heading string, rows func(row func(cells ...any))) error {
	if q.json {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(heading, " ", "\t"))
	rows(func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	})
	return w.Flush()
}

func newArchivesCommand() *cobra.Command {
	var q query
	c := &cobra.Command{
		Use: "archives", Short: "List the submitted archives / 列出已投稿件", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var archives []bilibili.Archive
			if err := q.get(c.Context(), c.OutOrStdout(), "/_sim/archives", &archives); err != nil {
				return err
			}
			return q.table(c.OutOrStdout(), "AID BVID ACCOUNT STATE PARTS TITLE", func(row func(...any)) {
				for _, a := range archives {
					row(a.AID, a.BVID, a.MID, a.State, len(a.Videos), a.Title)
				}
			})
		},
	}
	q.flags(c, true)
	return c
}

func newObjectsCommand() *cobra.Command {
	var q query
	c := &cobra.Command{
		Use: "objects", Short: "List the uploaded files / 列出已上传的文件", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var objects []struct {
				bilibili.Object
				SHA256 string `json:"sha256"`
			}
			if err := q.get(c.Context(), c.OutOrStdout(), "/_sim/objects", &objects); err != nil {
				return err
			}
			return q.table(c.OutOrStdout(), "NAME LINE SIZE STORED COMPLETE SHA256 FILE", func(row func(...any)) {
				for _, o := range objects {
					row(o.Name, o.Line, o.Size, o.StoredBytes(), o.Complete, o.SHA256, o.FileName)
				}
			})
		},
	}
	q.flags(c, true)
	return c
}

func newViolationsCommand() *cobra.Command {
	var q query
	var fail bool
	c := &cobra.Command{
		Use: "violations", Short: "List what clients got wrong / 列出客户端的协议违规", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var violations []bilibili.Violation
			if err := q.get(c.Context(), c.OutOrStdout(), "/_sim/violations", &violations); err != nil {
				return err
			}
			err := q.table(c.OutOrStdout(), "REQUEST RULE DETAIL", func(row func(...any)) {
				for _, v := range violations {
					row(v.Request, v.Rule, v.Detail)
				}
			})
			if err == nil && fail && len(violations) > 0 {
				err = fmt.Errorf("%d departures from the protocol were recorded", len(violations))
			}
			return err
		},
	}
	q.flags(c, false)
	c.Flags().BoolVar(&fail, "fail", false, "end with an error when there are any / 存在违规时以错误退出")
	return c
}

func newRequestsCommand() *cobra.Command {
	var q query
	c := &cobra.Command{
		Use: "requests", Short: "List the requests that came in / 列出收到的请求", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var requests []bilibili.Request
			if err := q.get(c.Context(), c.OutOrStdout(), "/_sim/requests", &requests); err != nil {
				return err
			}
			return q.table(c.OutOrStdout(), "NUMBER TIME CALL LINE PART ATTEMPT STATUS FAULTS", func(row func(...any)) {
				for _, r := range requests {
					row(r.Number, r.Time.Format("15:04:05.000"), r.Call, r.Line, r.Part, r.Attempt, r.Status, len(r.Faults))
				}
			})
		},
	}
	q.flags(c, false)
	return c
}

func newFaultCommand() *cobra.Command {
	var q query
	var times, part int
	var line string
	c := &cobra.Command{
		Use: "fault NAME", Short: "Make something go wrong, by the name of a fault / 按名称注入故障", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := json.Marshal(map[string]any{
				"name": args[0], "times": times, "match": map[string]any{"part": part, "line": line},
			})
			if err != nil {
				return err
			}
			answer, err := q.call(c.Context(), http.MethodPost, "/_sim/faults", body)
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(answer)
			return err
		},
	}
	q.flags(c, false)
	f := c.Flags()
	f.IntVar(&times, "times", 1, "how many requests are hit, 0 is all / 命中的请求次数，0 为全部")
	f.IntVar(&part, "part", 0, "only this chunk, from 1 / 仅此分块，从 1 起")
	f.StringVar(&line, "line", "", "only this line / 仅此线路")
	return c
}
