package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lubod/lubod/host"
)

// userCommand works on the users of the API, on the machine itself.
func userCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "user",
		Short: "List, add and remove users of the API / 管理 API 用户",
		Long: "List, add and remove users of the API, whether the daemon runs or not. Passwords are asked for, or read from the standard input.\n" +
			"管理 API 用户，守护进程运行与否均可。密码会提示输入，或从标准输入读取。",
	}
	given := settingFlags(command.PersistentFlags(), "data-dir", "database-url", "database-url-file")
	on := func(work func(ctx context.Context, users *host.Users, args []string) error) func(*cobra.Command, []string) error {
		return func(command *cobra.Command, args []string) (err error) {
			config, err := host.LoadConfig(given, os.Getenv)
			if err != nil {
				return err
			}
			logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
			users, err := host.OpenUsers(command.Context(), config, logger)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, users.Close(command.Context())) }()
			return work(command.Context(), users, args)
		}
	}
	revoke := false
	password := &cobra.Command{
		Use: "password NAME", Short: "Change a password; ends the sessions of the user / 修改密码，并结束其所有会话", Args: cobra.ExactArgs(1),
		RunE: on(func(ctx context.Context, users *host.Users, args []string) error {
			secret, err := readPassword()
			if err != nil {
				return err
			}
			tokens, err := users.SetPassword(ctx, args[0], secret, revoke)
			if err == nil {
				fmt.Printf("changed; %d API tokens still work / 已修改；仍有 %d 个令牌有效\n", tokens, tokens)
			}
			return err
		}),
	}
	password.Flags().BoolVar(&revoke, "revoke-tokens", false, "delete the API tokens of the user as well / 同时删除其 API 令牌")
	command.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the users / 列出用户", Args: cobra.NoArgs,
			RunE: on(func(ctx context.Context, users *host.Users, _ []string) error {
				return listUsers(ctx, users, os.Stdout)
			}),
		},
		&cobra.Command{
			Use: "add NAME", Short: "Add a user / 添加用户", Args: cobra.ExactArgs(1),
			RunE: on(func(ctx context.Context, users *host.Users, args []string) error {
				secret, err := readPassword()
				if err != nil {
					return err
				}
				return users.Add(ctx, args[0], secret)
			}),
		},
		&cobra.Command{
			Use: "remove NAME", Short: "Remove a user, with sessions and API tokens / 删除用户及其会话和令牌", Args: cobra.ExactArgs(1),
			RunE: on(func(ctx context.Context, users *host.Users, args []string) error { return users.Remove(ctx, args[0]) }),
		},
		password,
	)
	return command
}

func listUsers(ctx context.Context, users *host.Users, to io.Writer) error {
	all, err := users.List(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, user := range all {
		fmt.Fprintf(table, "%s\t%s\n", user.Name, user.Created.UTC().Format(time.RFC3339))
	}
	return table.Flush()
}

// readPassword asks a person twice, and takes the first line of anything else. A password is no argument: everybody on the machine
// can read those.
func readPassword() (string, error) {
	input := int(os.Stdin.Fd())
	if !term.IsTerminal(input) {
		line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	var typed [2]string
	for i, prompt := range []string{"Password / 密码: ", "Once more / 再输一次: "} {
		fmt.Fprint(os.Stderr, prompt)
		secret, err := term.ReadPassword(input)
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = string(secret)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ / 两次输入不一致")
	}
	return typed[0], nil
}
