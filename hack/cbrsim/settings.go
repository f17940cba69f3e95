/*
Copyright 2026 The BackupSync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// settings are the flags.
type settings struct {
	addr            string
	addrFile        string
	tlsCert, tlsKey string
	options         cbrtest.Options
	iam             cbrtest.IAMOptions
}

func parse(arguments []string, output io.Writer) (settings, error) {
	var parsed settings
	flags := flag.NewFlagSet("cbrsim", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&parsed.addr, "addr", "127.0.0.1:0", "address to listen on; port 0 picks a free one")
	allowRemote := flags.Bool("allow-remote", false, "allow an --addr that other machines can reach")
	flags.StringVar(&parsed.addrFile, "addr-file", "", "file to write the URL to, and to remove at the end")
	flags.StringVar(&parsed.tlsCert, "tls-cert", "", "certificate to serve https with (PEM file)")
	flags.StringVar(&parsed.tlsKey, "tls-key", "", "key of --tls-cert (PEM file)")
	options := &parsed.options
	flags.DurationVar(&options.Latency, "latency", 0, "time that every call takes")
	flags.DurationVar(&options.TaskDuration, "task-duration", 5*time.Second, "time from the acceptance of a backup to the end of its task")
	flags.IntVar(&options.SyncCallsPerMinute, "sync-calls-per-minute", 0, "ImportBackup calls that are let through in a --rate-window; 0 for no limit")
	flags.DurationVar(&options.RateWindow, "rate-window", time.Minute, "length of the minute of --sync-calls-per-minute")
	addOptions(flags, options)
	addIAM(flags, &parsed.iam)
	projects, tokens := list{}, list{}
	flags.Var(&projects, "project-id", "known project; may be repeated, or a comma-separated list (default "+cbrtest.ProjectID+")")
	flags.Var(&tokens, "token", "accepted token; may be repeated, or a comma-separated list (default "+cbrtest.Token+")")
	flags.Func("access-key", "accepted access key, as AK:SK, or AK:SK:security-token for a temporary one; may be repeated", func(text string) error {
		key, err := parseKey(text)
		options.Keys = append(options.Keys, key)
		return err
	})
	if err := flags.Parse(arguments); err != nil {
		return settings{}, err
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	options.ProjectIDs, options.Tokens = projects, tokens
	if len(tokens) == 0 {
		options.Tokens = nil
	}
	return parsed, parsed.check(*allowRemote)
}

func (s settings) check(allowRemote bool) error {
	if (s.tlsCert == "") != (s.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key belong together")
	}
	if s.options.RateWindow <= 0 {
		return errors.New("--rate-window must be more than 0")
	}
	if err := checkOptions(s.options); err != nil {
		return err
	}
	if err := checkIAM(s.iam); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(s.addr)
	if err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	if ip := net.ParseIP(host); !allowRemote && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--addr %s can be reached from other machines: use 127.0.0.1, or --allow-remote", s.addr)
	}
	return nil
}

// parseKey reads "AK:SK" or "AK:SK:security-token".
func parseKey(text string) (cbrtest.Key, error) {
	access, rest, _ := strings.Cut(text, ":")
	secret, token, _ := strings.Cut(rest, ":")
	if access == "" || secret == "" {
		return cbrtest.Key{}, errors.New("an access key is AK:SK, or AK:SK:security-token")
	}
	return cbrtest.Key{Access: access, Secret: secret, SecurityToken: token}, nil
}

// list is a flag that may be repeated.
type list []string

// String makes list a flag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds one value or several.
func (l *list) Set(text string) error {
	for value := range strings.SplitSeq(text, ",") {
		if value = strings.TrimSpace(value); value == "" {
			return errors.New("an empty value")
		}
		*l = append(*l, value)
	}
	return nil
}
