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

package text

import (
	"io"
	"os"

	"golang.org/x/term"
)

// DefaultWidth is that of an output that has none of its own, such as a pipe or a file.
const DefaultWidth = 80

// Terminal is what an output can do.
type Terminal struct {
	// Interactive says that a person looks at it while it is written.
	Interactive bool
	// Colour says that it takes the codes of colours.
	Colour bool
	// Width is how many columns a line has, Height how many lines are seen at once; 0 if that is not known.
	Width, Height int
}

// Detect returns what an output can do. Colours go to terminals alone, and not where the environment says otherwise: by NO_COLOR, or by
// TERM=dumb.
func Detect(out io.Writer, environment func(string) string) Terminal {
	file, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return Terminal{Width: DefaultWidth}
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		width, height = DefaultWidth, 0
	}
	dumb := environment("TERM") == "dumb"
	return Terminal{Interactive: !dumb, Colour: !dumb && environment("NO_COLOR") == "", Width: width, Height: height}
}

// Colour is the code of a colour.
type Colour string

// The colours, each by what it stands for.
const (
	Good    Colour = "\x1b[32m"
	Busy    Colour = "\x1b[36m"
	Waiting Colour = "\x1b[33m"
	Bad     Colour = "\x1b[31m"
	Strong  Colour = "\x1b[1m"
	plain          = "\x1b[0m"
)

// Paint colours a text, if the output takes colours.
func (t Terminal) Paint(colour Colour, text string) string {
	if !t.Colour || text == "" {
		return text
	}
	return string(colour) + text + plain
}
