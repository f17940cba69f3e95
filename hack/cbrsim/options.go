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
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// options are cbrtest.Options as JSON. What is absent stays as it is; lists and errors are replaced as a whole.
type options struct {
	*cbrtest.Options
	Latency        *duration         `json:"latency"`
	TaskDuration   *duration         `json:"taskDuration"`
	VisibleAfter   *duration         `json:"visibleAfter"`
	ClockOffset    *duration         `json:"clockOffset"`
	TimeOffset     *duration         `json:"timeOffset"`
	Refusals       *[]refusal        `json:"refusals"`
	TaskNotFound   *cbrtest.APIError `json:"taskNotFound"`
	BackupNotFound *cbrtest.APIError `json:"backupNotFound"`
}

// refusal is a cbrtest.Refusal as JSON.
type refusal struct {
	cbrtest.Refusal
	// For takes the place of until: so long from now on.
	For duration `json:"for"`
}

// value is the refusal, which begins now.
func (r refusal) value(now time.Time) cbrtest.Refusal {
	if r.For != 0 {
		r.Until = now.Add(time.Duration(r.For))
	}
	return r.Refusal
}

// change decodes JSON over options, which stay as they were if there is an error.
func change(target *cbrtest.Options, data []byte, now time.Time) error {
	changed := *target
	content := options{Options: &changed}
	if err := strictly(data, &content); err != nil {
		return err
	}
	for _, each := range []struct {
		given *duration
		to    *time.Duration
	}{{content.Latency, &changed.Latency}, {content.TaskDuration, &changed.TaskDuration}, {content.VisibleAfter, &changed.VisibleAfter},
		{content.ClockOffset, &changed.ClockOffset}, {content.TimeOffset, &changed.TimeOffset}} {
		if each.given != nil {
			*each.to = time.Duration(*each.given)
		}
	}
	if content.Refusals != nil {
		changed.Refusals = nil
		for _, each := range *content.Refusals {
			changed.Refusals = append(changed.Refusals, each.value(now))
		}
	}
	if content.TaskNotFound != nil {
		changed.TaskNotFound = content.TaskNotFound
	}
	if content.BackupNotFound != nil {
		changed.BackupNotFound = content.BackupNotFound
	}
	if err := checkOptions(changed); err != nil {
		return err
	}
	*target = changed
	return nil
}

// checkOptions refuses numbers that mean nothing.
func checkOptions(options cbrtest.Options) error {
	if min(options.Latency, options.TaskDuration, options.VisibleAfter) < 0 ||
		min(options.SyncCallsPerMinute, options.ReadsPerSecond, options.MaxPage) < 0 {
		return errors.New("times and limits must not be negative")
	}
	return nil
}

// setOptions changes the options at run time.
func (s *simulator) setOptions(content json.RawMessage) error {
	var err error
	s.cloud.Configure(func(options *cbrtest.Options) { err = change(options, content, time.Now()) })
	return err
}

// addOptions defines the flags of what a CBR may do beside what its reference says.
func addOptions(flags *flag.FlagSet, options *cbrtest.Options) {
	flags.IntVar(&options.ReadsPerSecond, "reads-per-second", 0, "reads that are let through in a second; 0 for no limit")
	flags.DurationVar(&options.VisibleAfter, "visible-after", 0, "least time from the acceptance of a backup until its task and the backup are to be seen")
	flags.DurationVar(&options.ClockOffset, "clock-offset", 0, "time by which the clock that judges signatures, and is shown in Date headers, is ahead")
	flags.DurationVar(&options.TimeOffset, "time-offset", 0, "time by which the times that tasks and backups tell are ahead")
	for name, each := range map[string]struct {
		value *bool
		usage string
	}{
		"shared-tasks":        {&options.SharedTaskIDs, "give all backups of a call the same task"},
		"name-first":          {&options.NameFirst, "let a task of several backups name the first of them"},
		"hide-task-backup":    {&options.HideTaskBackup, "leave extra_info.backup out of tasks"},
		"hide-task-resource":  {&options.HideTaskResource, "leave extra_info.resource out of tasks"},
		"start-time-is-start": {&options.StartTimeIsStart, "compare start_time with when a task started, and leave out the waiting ones"},
		"failed-in-error":     {&options.FailedInError, "let tasks that fail leave a backup in status error"},
		"fold-case":           {&options.FoldCase, "store ids in lower case, and compare without case"},
		"require-uuids":       {&options.RequireUUIDs, "answer a GET of an id that is no UUID with 400 BackupService.9900"},
		"narrow-lists":        {&options.NarrowLists, "show one enterprise project only in lists, unless all_granted_eps is asked for"},
		"grant-default-only":  {&options.GrantDefaultOnly, "show the default enterprise project only in lists, with all_granted_eps too"},
	} {
		flags.BoolVar(each.value, name, false, each.usage)
	}
	for name, each := range map[string]struct {
		value *int
		usage string
	}{
		"quota":      {&options.Quota, "backups that a project may hold; 0 for no limit, -1 to let none in"},
		"list-shift": {&options.ListShift, "places by which the order of lists moves from one read to the next"},
		"max-page":   {&options.MaxPage, "largest number of elements on a page; 0 for what is asked"},
	} {
		flags.IntVar(each.value, name, 0, each.usage)
	}
	flags.Func("error-shape", "shape of error bodies: cbr, numeric, status, nested, openstack, html or empty", func(text string) error {
		return options.ErrorShape.UnmarshalText([]byte(text))
	})
	flags.Func("count", "what lists say in count: all, missing, page, less, more, zero or text", func(text string) error {
		return options.Count.UnmarshalText([]byte(text))
	})
	addAnswers(flags, options)
}

// addAnswers defines the flags whose values are JSON, as POST /_admin/options takes it.
func addAnswers(flags *flag.FlagSet, options *cbrtest.Options) {
	flags.Func("task-not-found", `answer for tasks that are not known, as JSON: {"code":"BackupService.6501"}, {"shape":"openstack"}`,
		func(text string) error { return strictly([]byte(text), &options.TaskNotFound) })
	flags.Func("backup-not-found", "the same for backups", func(text string) error { return strictly([]byte(text), &options.BackupNotFound) })
	flags.Func("refusal", `error that calls are answered with, as JSON: {"calls":"reads","status":403,"shape":"html","for":"30s"}; may be repeated`,
		func(text string) error {
			var content refusal
			err := strictly([]byte(text), &content)
			options.Refusals = append(options.Refusals, content.value(time.Now()))
			return err
		})
	flags.Func("permission-delay", "time from now on in which every call is answered 403 Policy doesn't allow ... to be performed", func(text string) error {
		delay, err := time.ParseDuration(text)
		if err == nil && delay < 0 {
			err = fmt.Errorf("%s is negative", delay)
		}
		options.Refusals = append(options.Refusals, cbrtest.NotPermitted(cbrtest.AllCalls, time.Now().Add(delay)))
		return err
	})
}
