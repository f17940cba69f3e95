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

package alerts

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// dashboard is what the tests look at of the dashboard.
type dashboard struct {
	UID        string `json:"uid"`
	Templating struct {
		List []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

// panel is a panel of it, or the title of a row of them.
type panel struct {
	ID          int       `json:"id"`
	Type        string    `json:"type"`
	Title       string    `json:"title"`
	Description string    `json:"description"`
	GridPos     placement `json:"gridPos"`
	Targets     []struct {
		Expr       string `json:"expr"`
		Datasource struct {
			UID string `json:"uid"`
		} `json:"datasource"`
	} `json:"targets"`
}

// placement is where a panel is, in columns and rows.
type placement struct{ X, Y, W, H int }

func (p placement) overlaps(other placement) bool {
	return p.X < other.X+other.W && other.X < p.X+p.W && p.Y < other.Y+other.H && other.Y < p.Y+p.H
}

// readDashboard returns the dashboard.
func readDashboard(g Gomega) dashboard {
	text, err := os.ReadFile(monitoring("dashboard.json"))
	g.Expect(err).NotTo(HaveOccurred())
	var read dashboard
	g.Expect(json.Unmarshal(text, &read)).To(Succeed())
	g.Expect(read.Panels).NotTo(BeEmpty())
	return read
}

// Grafana takes a dashboard with faults, and shows a part of it.
func TestTheDashboardIsInOrder(t *testing.T) {
	g := NewWithT(t)
	read := readDashboard(g)
	g.Expect(read.UID).To(Equal("backupsync"))
	g.Expect(read.Templating.List[0].Name).To(Equal("datasource"))
	g.Expect(read.Templating.List[0].Type).To(Equal("datasource"))
	ids, titles := map[int]string{}, map[string]int{}
	for i, each := range read.Panels {
		g.Expect(ids).NotTo(HaveKey(each.ID), each.Title)
		g.Expect(titles).NotTo(HaveKey(each.Title))
		ids[each.ID], titles[each.Title] = each.Title, each.ID
		g.Expect(each.GridPos.X+each.GridPos.W).To(BeNumerically("<=", 24), each.Title)
		for _, other := range read.Panels[:i] {
			g.Expect(each.GridPos.overlaps(other.GridPos)).To(BeFalse(), "%s lies over %s", each.Title, other.Title)
		}
		if each.Type == "row" {
			continue
		}
		g.Expect(each.Description).To(HaveSuffix("."), each.Title)
		g.Expect(each.Targets).NotTo(BeEmpty(), each.Title)
		for _, target := range each.Targets {
			g.Expect(target.Expr).NotTo(BeEmpty(), each.Title)
			g.Expect(target.Datasource.UID).To(Equal("${datasource}"), each.Title)
		}
	}
}

// ofOurs is how a series is known to be one of an operator.
const ofOurs = `backupsync_|(name|controller)="(cbrproject|cbr\.backupsync\.dev)"`

// By default the variable job stands for all jobs of a Prometheus, and all of them have metrics of processes and of Kubernetes' clients.
func TestTheDashboardShowsNothingOfOthers(t *testing.T) {
	g := NewWithT(t)
	for _, each := range readDashboard(g).Panels {
		for _, target := range each.Targets {
			if !strings.Contains(target.Expr, "ALERTS") {
				g.Expect(target.Expr).To(MatchRegexp(ofOurs), each.Title)
			}
		}
	}
}
