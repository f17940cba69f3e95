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
	"net/http"
	"strings"
	"time"

	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// addIAM defines the flags of IAM, which the simulator serves on the same address.
func addIAM(flags *flag.FlagSet, options *cbrtest.IAMOptions) {
	flags.StringVar(&options.DomainName, "iam-domain", cbrtest.DomainName, "name of the account of IAM's one user")
	flags.StringVar(&options.Username, "iam-user", cbrtest.Username, "name of IAM's one user")
	flags.StringVar(&options.Password, "iam-password", cbrtest.Password, "password of IAM's one user")
	flags.StringVar(&options.PodToken, "pod-token", cbrtest.PodToken, "Authorization header that gets the keys of a pod at "+cbrtest.PodIdentityPath)
	flags.DurationVar(&options.TokenLife, "token-life", cbrtest.TokenLife, "how long IAM's tokens are valid")
	flags.DurationVar(&options.KeyLife, "key-life", cbrtest.TokenLife, "how long the keys of a pod are valid")
	flags.DurationVar(&options.Latency, "iam-latency", 0, "time that every request to IAM takes")
	flags.IntVar(&options.LockAfter, "iam-lock-after", cbrtest.LockAfter, "wrong passwords in a row that lock the account; a negative number never does")
	flags.IntVar(&options.RequestsPerMinute, "iam-requests-per-minute", 0, "requests that IAM lets through in a minute; 0 for no limit")
	flags.Func("iam-error-shape", "shape of IAM's errors: nested (default), cbr, html or empty", func(text string) error {
		return options.ErrorShape.UnmarshalText([]byte(text))
	})
	flags.BoolVar(&options.LongNames, "pod-long-names", false, "name the keys of a pod accessKeyId, secretAccessKey, securityToken and expiration")
}

func checkIAM(options cbrtest.IAMOptions) error {
	if options.TokenLife < 0 || options.KeyLife < 0 || options.Latency < 0 || options.RequestsPerMinute < 0 {
		return errors.New("lives, latency and limit of IAM must not be negative")
	}
	return nil
}

// iamChange is what /_admin/iam does to IAM. What it leaves out stays as it is.
type iamChange struct {
	Password          *string             `json:"password"`
	PodToken          *string             `json:"podToken"`
	TokenLife         *duration           `json:"tokenLife"`
	KeyLife           *duration           `json:"keyLife"`
	Latency           *duration           `json:"latency"`
	RequestsPerMinute *int                `json:"requestsPerMinute"`
	ErrorShape        *cbrtest.ErrorShape `json:"errorShape"`
	// Answer answers all requests, until an empty object takes it back.
	Answer *cbrtest.APIError `json:"answer"`
	// Revoke and Expire end the tokens and keys that were issued, Unlock the lock of the account.
	Revoke bool `json:"revoke"`
	Expire bool `json:"expire"`
	Unlock bool `json:"unlock"`
}

func (s *simulator) changeIAM(change iamChange) error {
	changed := s.iam.Options()
	change.apply(&changed)
	if err := checkIAM(changed); err != nil {
		return err
	}
	s.iam.Configure(change.apply)
	if change.Revoke {
		s.iam.Revoke()
	}
	if change.Expire {
		s.iam.Expire()
	}
	if change.Unlock {
		s.iam.Unlock()
	}
	return nil
}

func (c iamChange) apply(options *cbrtest.IAMOptions) {
	set(&options.Password, c.Password)
	set(&options.PodToken, c.PodToken)
	set((*duration)(&options.TokenLife), c.TokenLife)
	set((*duration)(&options.KeyLife), c.KeyLife)
	set((*duration)(&options.Latency), c.Latency)
	set(&options.RequestsPerMinute, c.RequestsPerMinute)
	set(&options.ErrorShape, c.ErrorShape)
	if c.Answer != nil {
		options.Intercept = intercepting(*c.Answer)
	}
}

func set[T any](value, changed *T) {
	if changed != nil {
		*value = *changed
	}
}

// intercepting makes what answers all requests to IAM, nil for an empty answer.
func intercepting(answer cbrtest.APIError) func(http.ResponseWriter, *http.Request) bool {
	if answer.Status == 0 {
		return nil
	}
	return func(writer http.ResponseWriter, _ *http.Request) bool {
		for name, value := range answer.Headers {
			writer.Header().Set(name, value)
		}
		writer.Header().Set("Content-Type", "application/json")
		writer.WriteHeader(answer.Status)
		_ = json.NewEncoder(writer).Encode(map[string]string{"error_code": answer.Code, "error_msg": answer.Message})
		return true
	}
}

// iamRecord is what /_iam shows. It holds no secret.
type iamRecord struct {
	Requests      int            `json:"requests"`
	MaxConcurrent int            `json:"maxConcurrent"`
	Answers       map[string]int `json:"answers"` // by path, status and code
	Times         []time.Time    `json:"times"`   // of arrival
}

func (s *simulator) serveIAM(writer http.ResponseWriter, _ *http.Request) {
	requests := s.iam.Requests()
	shown := iamRecord{Requests: len(requests), MaxConcurrent: s.iam.MaxConcurrent(), Answers: map[string]int{}, Times: []time.Time{}}
	for _, request := range requests {
		shown.Times = append(shown.Times, request.Time)
		shown.Answers[strings.TrimSpace(fmt.Sprintf("%s %d %s", request.Path, request.Status, request.Code))]++
	}
	writeJSON(writer, shown)
}

// serveSecrets shows everything that must not be seen anywhere, for those who look for it there.
func (s *simulator) serveSecrets(writer http.ResponseWriter, _ *http.Request) {
	writeJSON(writer, s.iam.Secrets())
}

func writeJSON(writer http.ResponseWriter, value any) {
	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(value)
}
