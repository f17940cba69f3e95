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
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The plot's measures, in SVG's user units.
const (
	plotWidth, plotHeight                             = 640.0, 400.0
	plotLeft, plotRight, plotTop, plotBottom, plotGap = 80.0, 20.0, 40.0, 60.0, 5.0
	plotTicks                                         = 5
)

// colours of the curves, which can be told apart by those who do not see colours as others do (Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}

// SVG draws a series. Both axes begin at 0, so that what is flat looks flat.
func SVG(series Series) string {
	frame := frameOf(series)
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&svg, `<rect width="%g" height="%g" fill="white"/>`+"\n", plotWidth, plotHeight)
	writeText(&svg, plotWidth/2, plotTop/2, `text-anchor="middle" font-size="15"`, series.Title)
	writeText(&svg, (plotLeft+plotWidth-plotRight)/2, plotHeight-15, `text-anchor="middle"`, series.X)
	writeText(&svg, 0, 0, fmt.Sprintf(`text-anchor="middle" transform="translate(18 %g) rotate(-90)"`, (plotTop+plotHeight-plotBottom)/2), series.Y)
	frame.writeAxes(&svg)
	for i, line := range series.Lines {
		frame.writeLine(&svg, line, i)
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

// frame maps values to places: each axis from 0 to a multiple of its step.
type frame struct{ xStep, yStep, xEnd, yEnd float64 }

func frameOf(series Series) frame {
	var x, y float64
	for _, line := range series.Lines {
		for _, point := range line.Points {
			x, y = max(x, point.X), max(y, point.Y)
		}
	}
	f := frame{xStep: step(x), yStep: step(y)}
	f.xEnd, f.yEnd = math.Max(math.Ceil(x/f.xStep), 1)*f.xStep, math.Max(math.Ceil(y/f.yStep), 1)*f.yStep
	return f
}

// step returns a round distance of ticks that divides an axis into about plotTicks parts.
func step(end float64) float64 {
	if end <= 0 || math.IsNaN(end) || math.IsInf(end, 0) {
		return 1
	}
	rough := end / plotTicks
	magnitude := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, factor := range []float64{1, 2, 5} {
		if rough <= factor*magnitude {
			return factor * magnitude
		}
	}
	return 10 * magnitude
}

func (f frame) x(value float64) float64 {
	return plotLeft + value/f.xEnd*(plotWidth-plotLeft-plotRight)
}

func (f frame) y(value float64) float64 {
	return plotHeight - plotBottom - value/f.yEnd*(plotHeight-plotTop-plotBottom)
}

func (f frame) writeAxes(svg *strings.Builder) {
	left, bottom := f.x(0), f.y(0)
	for value := 0.0; value <= f.xEnd+f.xStep/2; value += f.xStep {
		writeText(svg, f.x(value), bottom+20, `text-anchor="middle"`, label(value, f.xStep))
	}
	for value := 0.0; value <= f.yEnd+f.yStep/2; value += f.yStep {
		fmt.Fprintf(svg, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ddd"/>`+"\n", left, f.y(value), f.x(f.xEnd), f.y(value))
		writeText(svg, left-plotGap, f.y(value)+4, `text-anchor="end"`, label(value, f.yStep))
	}
	fmt.Fprintf(svg, `<path d="M%.1f %.1fV%.1fH%.1f" fill="none" stroke="black"/>`+"\n", left, f.y(f.yEnd), bottom, f.x(f.xEnd))
}

// label says a value at a tick, without the digits that only come from adding up the steps.
func label(value, step float64) string {
	digits := max(0, -int(math.Floor(math.Log10(step))))
	return fmt.Sprintf("%.*f", digits, value)
}

func (f frame) writeLine(svg *strings.Builder, line Line, index int) {
	colour := colours[index%len(colours)]
	points := slices.Clone(line.Points)
	slices.SortFunc(points, func(a, b Point) int { return cmp.Compare(a.X, b.X) })
	places := make([]string, 0, len(points))
	for _, point := range points {
		places = append(places, fmt.Sprintf("%.1f,%.1f", f.x(point.X), f.y(point.Y)))
		fmt.Fprintf(svg, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", f.x(point.X), f.y(point.Y), colour)
	}
	fmt.Fprintf(svg, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(places, " "), colour)
	writeText(svg, plotLeft+10, plotTop+12+16*float64(index), fmt.Sprintf(`fill="%s"`, colour), line.Name)
}

func writeText(svg *strings.Builder, x, y float64, attributes, text string) {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // a strings.Builder never fails
	fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, attributes, escaped.String())
}
