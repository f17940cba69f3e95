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

package cli

// The exit statuses of the commands.
const (
	// ExitError: the command could not do what it was asked for.
	ExitError = 1
	// ExitUsage: the command line is not understood.
	ExitUsage = 2
	// ExitFound: the command has done its work, and found what it was asked to find: something stalled, missing, or rejected.
	ExitFound = 3
)

// exit is an error with the status that the process is to exit with.
type exit struct {
	error
	status int
}

// Unwrap returns the error without the status.
func (e exit) Unwrap() error { return e.error }

// WithStatus returns an error that has the process exit with a status.
func WithStatus(status int, err error) error { return exit{error: err, status: status} }

// Usage returns an error about the command line.
func Usage(err error) error { return WithStatus(ExitUsage, err) }

// StatusOf returns the status that the process exits with after an error, 0 for nil. Of several errors that were joined, one that says that the
// command could not do its work counts more than one that says what it has found.
func StatusOf(err error) int {
	switch of := err.(type) { //nolint:errorlint // each level is looked at, from the outside
	case nil:
		return 0
	case exit:
		return of.status
	case interface{ Unwrap() []error }:
		return gravest(of.Unwrap())
	case interface{ Unwrap() error }:
		return max(StatusOf(of.Unwrap()), ExitError) // 1 if nothing is in it
	default:
		return ExitError
	}
}

// gravest returns the status that tells most of what went wrong.
func gravest(joined []error) int {
	worst := ExitFound
	for _, each := range joined {
		switch status := StatusOf(each); {
		case status == ExitUsage: // nothing else was tried
			return status
		case status != ExitFound:
			worst = status
		}
	}
	return worst
}
