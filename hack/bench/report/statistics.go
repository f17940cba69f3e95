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

package report

import (
	"math"
	"slices"
	"time"
)

// Number is what medians are taken of.
type Number interface{ ~int64 | ~float64 }

// Median returns the middle of some values, halfway between two, and 0 without any. It does not change the argument.
func Median[T Number](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	low, high := sorted[(len(sorted)-1)/2], sorted[len(sorted)/2]
	return low + (high-low)/2
}

// Ratio returns a/b, or what is not a number without a b: no range holds it.
func Ratio[T Number](a, b T) float64 {
	if b == 0 {
		return math.NaN()
	}
	return float64(a) / float64(b)
}

// Seconds rounds a duration to what is worth reading.
func Seconds(duration time.Duration) time.Duration {
	switch {
	case duration >= 10*time.Second:
		return duration.Round(100 * time.Millisecond)
	case duration >= time.Second:
		return duration.Round(10 * time.Millisecond)
	default:
		return duration.Round(100 * time.Microsecond)
	}
}
