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

package connection

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Limits of the attempts to connect to a host with several addresses.
const (
	// attemptDelay is how long one address has for itself before the next is tried beside it (RFC 8305, section 5). So one
	// that is silent takes only that of the time there is, and need not be given a share of it.
	attemptDelay = 300 * time.Millisecond
	// maxAttempts bounds what a name with many addresses can cost.
	maxAttempts = 8
)

// attempt is how an attempt to connect has ended.
type attempt struct {
	connection net.Conn
	err        error
}

// race returns the first connection that comes about, or the first failure if none does. The addresses are tried in turn,
// those of both families alternately; nothing is left of the attempts that were not needed.
func race(ctx context.Context, addresses []netip.AddrPort, connect func(context.Context, netip.AddrPort) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	left := alternate(addresses)
	left = left[:min(len(left), maxAttempts)]
	ended, running := make(chan attempt), 0
	next := time.NewTimer(0)
	defer next.Stop()
	var failed error
	for len(left)+running > 0 {
		select {
		case <-next.C:
			if len(left) > 0 {
				go try(ctx, left[0], connect, ended)
				left, running = left[1:], running+1
				next.Reset(attemptDelay)
			}
		case result := <-ended:
			if result.err == nil {
				return result.connection, nil
			}
			if failed == nil {
				failed = result.err
			}
			running--
			next.Reset(0)
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s: %w", addresses[0], ctx.Err())
		}
	}
	return nil, failed
}

// try makes one attempt, and closes a connection that nobody waits for any more.
func try(ctx context.Context, to netip.AddrPort, connect func(context.Context, netip.AddrPort) (net.Conn, error), ended chan<- attempt) {
	connection, err := connect(ctx, to)
	select {
	case ended <- attempt{connection, err}:
	case <-ctx.Done():
		if connection != nil {
			_ = connection.Close()
		}
	}
}

// alternate orders addresses so that those of IPv4 and IPv6 take turns, as one of the two may lead nowhere. The first stays
// the first.
func alternate(addresses []netip.AddrPort) []netip.AddrPort {
	var families [2][]netip.AddrPort
	for _, address := range addresses {
		family := 0
		if address.Addr().Is4() != addresses[0].Addr().Is4() {
			family = 1
		}
		families[family] = append(families[family], address)
	}
	ordered := make([]netip.AddrPort, 0, len(addresses))
	for i := range addresses {
		for _, family := range families {
			if i < len(family) {
				ordered = append(ordered, family[i])
			}
		}
	}
	return ordered
}
