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

package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
)

const (
	resource = "backupsyncs"
	// pageSize is how many BackupSyncs a page has: some megabytes.
	pageSize = 2000
)

// Reader reads BackupSyncs. It is safe for concurrent use.
type Reader struct {
	server rest.Interface
	// withoutOutcome: the CRD of the cluster is older than the field selector for outcomes.
	withoutOutcome atomic.Bool
}

// NewReader returns a reader of a cluster.
func NewReader(config *rest.Config) (*Reader, error) {
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(cli.Scheme()).WithoutConversion()
	config.AcceptContentTypes, config.ContentType = "application/json", "application/json"
	server, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of the cluster: %w", err)
	}
	return &Reader{server: server}, nil
}

// SelectsOutcome reports whether the cluster has selected by outcome, as far as is known. Where its CRD is older, all are read instead.
func (r *Reader) SelectsOutcome() bool { return !r.withoutOutcome.Load() }

// All returns what a query asks for. More says that there was more than its limit.
func (r *Reader) All(ctx context.Context, query Query) (found []Backup, more bool, err error) {
	more, err = r.Each(ctx, query, func(backup Backup) { found = append(found, backup) })
	return found, more, err
}

// Each calls a function for each BackupSync that a query asks for, while they arrive. More says that there was more than its limit.
func (r *Reader) Each(ctx context.Context, query Query, do func(Backup)) (more bool, err error) {
	reading := &reading{Reader: r, query: query, do: do}
	for first := true; first || reading.next != ""; first = false {
		if reading.full() {
			return true, nil
		}
		if err := reading.page(ctx); err != nil {
			return false, Describe("list BackupSyncs", err)
		}
	}
	return reading.more, nil
}

// reading is the reading of a query.
type reading struct {
	*Reader
	query Query
	do    func(Backup)
	read  int
	next  string // how the server goes on
	more  bool
}

func (g *reading) full() bool { return g.query.Limit > 0 && g.read >= g.query.Limit }

// page reads a page. Of a list that has grown too old on the way the server gives the rest as it is now.
func (g *reading) page(ctx context.Context) error {
	err := g.ask(ctx)
	if apierrors.IsResourceExpired(err) && g.next != "" {
		if status := apierrors.APIStatus(nil); errors.As(err, &status) && status.Status().Continue != "" {
			g.next = status.Status().Continue
			return g.ask(ctx)
		}
	}
	return err
}

// ask asks for a page by outcome, if the server is not known to have older CRDs. Several readings may be under way when the first of them
// is told so: each asks again whose own request was refused.
func (g *reading) ask(ctx context.Context) error {
	withOutcome := g.SelectsOutcome()
	err := g.request(ctx, withOutcome)
	if withOutcome && g.query.Ended != Any && unknownField(err) {
		g.withoutOutcome.Store(true)
		return g.request(ctx, false)
	}
	return err
}

// unknownField reports whether a server has refused a field selector as its CRD does not have the field.
func unknownField(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), outcomeField)
}

func (g *reading) request(ctx context.Context, withOutcome bool) error {
	limit := pageSize
	if left := g.query.Limit - g.read; g.query.Limit > 0 && left < limit && withOutcome {
		limit = left
	}
	get := g.server.Get().Resource(resource).Param("limit", fmt.Sprint(limit))
	if g.query.Namespace != "" {
		get = get.Namespace(g.query.Namespace)
	}
	for name, value := range map[string]string{
		"fieldSelector": g.query.fields(withOutcome), "labelSelector": g.query.Labels, "continue": g.next,
	} {
		if value != "" {
			get = get.Param(name, value)
		}
	}
	body, err := get.Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	return g.decode(body)
}

// decode reads a list, item by item.
func (g *reading) decode(body io.Reader) error {
	decoder := jsontext.NewDecoder(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := decoder.ReadToken(); err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	g.next = ""
	for decoder.PeekKind() != '}' {
		name, err := decoder.ReadToken()
		if err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		switch name.String() {
		case "metadata":
			err = g.metadata(decoder)
		case "items":
			err = g.items(decoder)
		default:
			err = decoder.SkipValue()
		}
		if err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
	}
	return nil
}

func (g *reading) metadata(decoder *jsontext.Decoder) error {
	var list metav1.ListMeta
	if err := json.UnmarshalDecode(decoder, &list); err != nil {
		return err
	}
	g.next = list.Continue
	return nil
}

func (g *reading) items(decoder *jsontext.Decoder) error {
	if decoder.PeekKind() == 'n' {
		return decoder.SkipValue()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() == '{' {
		var item object
		if err := json.UnmarshalDecode(decoder, &item); err != nil {
			return err
		}
		g.take(&item)
	}
	_, err := decoder.ReadToken()
	return err
}

// take hands an item over, if it is one that is asked for: a server with older CRDs sends others, too.
func (g *reading) take(item *object) {
	switch {
	case !g.query.Ended.takes(item.Status.Outcome):
	case g.full():
		g.more = true
	default:
		g.read++
		g.do(item.trimmed())
	}
}

// Describe says what went wrong with a request to the cluster, and what to do where that is known.
func Describe(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err) && isAboutTheKind(err), meta.IsNoMatchError(err):
		return fmt.Errorf("%s: the cluster does not know the operator's kinds: install the operator, or its CRDs, or choose another cluster "+
			"by --context (%w)", doing, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: you may not: ask for the role view of the namespace (%w)", doing, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the cluster does not know you: log in again (%w)", doing, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// isAboutTheKind reports whether what was not found is no single object, but the kind.
func isAboutTheKind(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && (status.Status().Details == nil || status.Status().Details.Name == "")
}
