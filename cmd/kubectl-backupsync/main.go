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

// The command line of the BackupSync operator: kubectl backupsync.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // every way in which a kubeconfig may authenticate
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/act"
	"backupsync.dev/operator/internal/cli/doctor"
	"backupsync.dev/operator/internal/cli/explain"
	"backupsync.dev/operator/internal/cli/generate"
	"backupsync.dev/operator/internal/cli/listing"
	"backupsync.dev/operator/internal/cli/overview"
	"backupsync.dev/operator/internal/cli/verify"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetOutput(cbr.QuietLog(os.Stderr)) // net/http quotes servers there, which may echo a token
	ctrllog.SetLogger(logr.Discard())      // else it complains after half a minute that nobody has
	f := cli.NewFactory(version, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr})
	root := newCommand(f)
	root.SetContext(ctx)
	return cli.Run(f, root)
}

// newCommand returns the command line with all its commands.
func newCommand(f *cli.Factory) *cobra.Command {
	return cli.NewCommand(f,
		generate.NewCommand(f),
		overview.NewCommand(f),
		listing.NewPendingCommand(f),
		listing.NewRunningCommand(f),
		listing.NewFailedCommand(f),
		explain.NewCommand(f),
		act.NewRetryCommand(f),
		act.NewSuspendCommand(f),
		act.NewResumeCommand(f),
		doctor.NewCommand(f),
		verify.NewCommand(f),
	)
}
