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
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// trial is what becomes of an attempt to connect to an address.
type trial struct {
	after time.Duration // 0 for never
	err   error
}

// hosts are addresses that answer, refuse or are silent.
type hosts struct {
	trials      map[string]trial
	tried, open atomic.Int32
}

// counted is a connection that is counted while it is open.
type counted struct {
	net.Conn
	hosts *hosts
	to    string
}

func (c *counted) Close() error {
	c.hosts.open.Add(-1)
	return nil
}

// connect ignores the end of the context, as a connection may come about just then, where it is not silent.
func (h *hosts) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	h.tried.Add(1)
	found := h.trials[to.Addr().String()]
	if found.after == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	<-time.After(found.after)
	if found.err != nil {
		return nil, found.err
	}
	h.open.Add(1)
	return &counted{hosts: h, to: to.Addr().String()}, nil
}

func addressesOf(texts ...string) []netip.AddrPort {
	var addresses []netip.AddrPort
	for _, text := range texts {
		addresses = append(addresses, netip.AddrPortFrom(netip.MustParseAddr(text), 443))
	}
	return addresses
}

func TestRace(t *testing.T) {
	refused := errors.New("refused")
	const quick = 20 * time.Millisecond
	for name, c := range map[string]struct {
		trials    map[string]trial
		addresses []string
		to        string // "" for none
		err       error
		within    time.Duration
		tried     int32
	}{
		"one address":                       {map[string]trial{"1.1.1.1": {after: quick}}, []string{"1.1.1.1"}, "1.1.1.1", nil, quick, 1},
		"one that refuses":                  {map[string]trial{"1.1.1.1": {quick, refused}}, []string{"1.1.1.1"}, "", refused, quick, 1},
		"the first of two":                  {map[string]trial{"1.1.1.1": {after: quick}, "2.2.2.2": {after: quick}}, []string{"1.1.1.1", "2.2.2.2"}, "1.1.1.1", nil, quick, 1},
		"the second at once, if one fails":  {map[string]trial{"1.1.1.1": {quick, refused}, "2.2.2.2": {after: quick}}, []string{"1.1.1.1", "2.2.2.2"}, "2.2.2.2", nil, 2 * quick, 2},
		"the second soon, if one is silent": {map[string]trial{"2.2.2.2": {after: quick}}, []string{"1.1.1.1", "2.2.2.2"}, "2.2.2.2", nil, attemptDelay + quick, 2},
		"the other family after one that is silent": {map[string]trial{"2.2.2.2": {after: quick}},
			[]string{"2600::1", "2600::2", "2600::3", "2.2.2.2"}, "2.2.2.2", nil, attemptDelay + quick, 2},
		"the slow one, if others fail":  {map[string]trial{"1.1.1.1": {after: time.Second}, "2.2.2.2": {quick, refused}}, []string{"1.1.1.1", "2.2.2.2"}, "1.1.1.1", nil, time.Second, 2},
		"none, as all are silent":       {nil, []string{"1.1.1.1", "2.2.2.2"}, "", context.DeadlineExceeded, 10 * time.Second, 2},
		"the last after many of silent": {map[string]trial{"7.7.7.7": {after: quick}}, []string{"1.1.1.1", "2.2.2.2", "3.3.3.3", "7.7.7.7"}, "7.7.7.7", nil, 3*attemptDelay + quick, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				begin, network := time.Now(), &hosts{trials: c.trials}
				connection, err := race(ctx, addressesOf(c.addresses...), network.connect)
				g.Expect(time.Since(begin)).To(Equal(c.within))
				g.Expect(network.tried.Load()).To(Equal(c.tried), "attempts")
				if c.to == "" {
					g.Expect(err).To(MatchError(c.err))
					return
				}
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(connection.(*counted).to).To(Equal(c.to))
				g.Expect(connection.Close()).To(Succeed())
			})
		})
	}
}

// Connections that come about too late are closed, and nobody waits for them: synctest fails if a goroutine stays.
func TestNothingIsLeftOfARace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		network := &hosts{trials: map[string]trial{"1.1.1.1": {after: time.Second}, "2.2.2.2": {after: 100 * time.Millisecond}, "3.3.3.3": {after: time.Hour}}}
		connection, err := race(t.Context(), addressesOf("1.1.1.1", "3.3.3.3", "2.2.2.2"), network.connect)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(connection.(*counted).to).To(Equal("2.2.2.2"))
		<-time.After(2 * time.Hour)
		synctest.Wait()
		g.Expect(network.tried.Load()).To(BeEquivalentTo(3))
		g.Expect(network.open.Load()).To(BeEquivalentTo(1))
	})
}

// A name with many addresses costs no more than a few attempts.
func TestARaceHasFewEntrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many []string
		for i := range 200 {
			many = append(many, fmt.Sprintf("1.1.1.%d", i))
		}
		network := &hosts{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := race(ctx, addressesOf(many...), network.connect)
		NewWithT(t).Expect(err).To(MatchError(context.DeadlineExceeded))
		NewWithT(t).Expect(network.tried.Load()).To(BeEquivalentTo(maxAttempts))
	})
}

func TestFamiliesTakeTurns(t *testing.T) {
	got := alternate(addressesOf("2600::1", "2600::2", "2600::3", "1.1.1.1", "2.2.2.2"))
	NewWithT(t).Expect(got).To(Equal(addressesOf("2600::1", "1.1.1.1", "2600::2", "2.2.2.2", "2600::3")))
}
